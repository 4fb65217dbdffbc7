// What Go programs do: goroutines and channels, maps, slices, garbage, formatting, hashing.
package main

import (
	"crypto/sha256"
	"fmt"
	"sort"
	"strings"
)

func worker(in <-chan int, out chan<- int) {
	for n := range in {
		sum := 0
		for i := 0; i < n; i++ {
			sum += i * i % 7
		}
		out <- sum
	}
}

func main() {
	in, out := make(chan int), make(chan int, 64)
	for i := 0; i < 4; i++ {
		go worker(in, out)
	}
	go func() {
		for i := 0; i < 4000; i++ {
			in <- i
		}
		close(in)
	}()
	total := 0
	for i := 0; i < 4000; i++ {
		total += <-out
	}
	counts := map[string]int{}
	for i := 0; i < 200000; i++ {
		counts[fmt.Sprintf("word%d", i*7919%3000)]++
	}
	words := make([]string, 0, len(counts))
	for word := range counts {
		words = append(words, word)
	}
	sort.Strings(words)
	sum := sha256.Sum256([]byte(strings.Repeat(strings.Join(words, " "), 200)))
	fmt.Println(total, len(words), words[100], fmt.Sprintf("%x", sum[:8]))
}
