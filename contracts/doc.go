// Package contracts holds no Go code of the product: the contracts are in src, their tests in test. The Go tests here
// compare the deployed verifier with gnark itself.
package contracts
