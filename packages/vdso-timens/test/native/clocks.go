// Prints what the run time takes for the monotonic clock, and the time of day, in nanoseconds.
package main

import (
	"fmt"
	"time"
	_ "unsafe"
)

//go:linkname nanotime runtime.nanotime
func nanotime() int64

func main() {
	fmt.Println(nanotime(), time.Now().UnixNano())
}
