package plan

import (
	"reflect"
	"strings"
)

// rootPackage is the import path of the root package, which this package must not
// import. It is derived from the path of this package, so that it is right in a fork.
var rootPackage = strings.TrimSuffix(reflect.TypeFor[Type]().PkgPath(), "/internal/plan")

// IsOpt reports whether t is the root package's Opt.
func IsOpt(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.PkgPath() == rootPackage && strings.HasPrefix(t.Name(), "Opt[")
}

// IsID reports whether t is the root package's ID.
func IsID(t reflect.Type) bool { return t.PkgPath() == rootPackage && t.Name() == "ID" }

// IsUpload reports whether t is the root package's Upload.
func IsUpload(t reflect.Type) bool { return t.PkgPath() == rootPackage && t.Name() == "Upload" }

// IsPage reports whether t is the root package's Page.
func IsPage(t reflect.Type) bool {
	return t.PkgPath() == rootPackage && strings.HasPrefix(t.Name(), "Page[")
}
