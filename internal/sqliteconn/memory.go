package sqliteconn

import (
	"fmt"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
)

// This file accesses SQLite's memory. SQLite was translated from C, and its pointers are
// integers. Its memory is not that of Go: the garbage collector neither moves nor frees it.

const pointerSize = unsafe.Sizeof(uintptr(0))

// pointer returns an address in SQLite's memory as a pointer.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// bytesAt returns n bytes of SQLite's memory, which are valid as long as SQLite keeps them.
func bytesAt(address uintptr, n int) []byte {
	if address == 0 || n <= 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(pointer(address)), n)
}

// addressAt returns the address that is stored at an address.
func addressAt(address uintptr) uintptr { return *(*uintptr)(pointer(address)) }

// allocate returns n bytes that SQLite can use, until free.
func allocate(tls *libc.TLS, n int) (uintptr, error) {
	if address := libc.Xmalloc(tls, types.Size_t(n)); address != 0 {
		return address, nil
	}
	return 0, fmt.Errorf("sqlite: no memory for %d bytes", n)
}

func free(tls *libc.TLS, address uintptr) {
	if address != 0 {
		libc.Xfree(tls, address)
	}
}

// function returns the address of a Go function that SQLite can call. The variable at f
// must be one of the package.
func function[F any](f *F) uintptr { return *(*uintptr)(unsafe.Pointer(f)) }
