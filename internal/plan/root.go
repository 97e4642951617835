package plan

import (
	"reflect"
	"strings"
)

// rootPackage is the path of the package that this one belongs to and must not
// import. It is found by where this package is, so that it is right in a fork,
// too.
var rootPackage = strings.TrimSuffix(reflect.TypeFor[Type]().PkgPath(), "/internal/plan")

// IsOpt reports whether t is the root package's Opt.
func IsOpt(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.PkgPath() == rootPackage && strings.HasPrefix(t.Name(), "Opt[")
}

// IsID reports whether t is the root package's ID.
func IsID(t reflect.Type) bool { return t.PkgPath() == rootPackage && t.Name() == "ID" }

// IsPage reports whether t is the root package's Page.
func IsPage(t reflect.Type) bool {
	return t.PkgPath() == rootPackage && strings.HasPrefix(t.Name(), "Page[")
}
