// Package fixedbase computes Σ scalarᵢ·pointᵢ over BN254 for points that stay
// the same from one sum to the next, as those of a proving key do.
//
// Scalars are cut into signed digits of c bits ([Digits]). A digit d of window w
// adds its point, times 2^(c·w), to bucket |d|; the sum is Σ d·bucket(d). A
// [Table] holds multiples 2^(c·S·k) of each point, so that only S sets of
// buckets are needed instead of one for each window: with S = 1 the buckets are
// summed up once and windows can be wide. Without multiples S is the number of
// windows, which is the method of Pippenger as everybody has it.
//
// Points are added in affine coordinates, hundreds at a time, which share one
// inversion. Points that meet in one bucket within a batch are first added to
// each other, so a witness of few different values costs no more than a random
// one. Equal, opposite and infinite points are handled in every addition.
//
// Nothing here starts a goroutine: who calls decides what runs beside what.
package fixedbase
