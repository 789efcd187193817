package main

import (
	"fmt"
	"strconv"
)

func parseNumbers(args []string) ([]uint64, error) {
	numbers := make([]uint64, len(args))
	for i, arg := range args {
		n, err := strconv.ParseUint(arg, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a project's number", arg)
		}
		numbers[i] = n
	}
	return numbers, nil
}
