package fixedbase

// affine is what both groups' points can do by themselves.
type affine[P any] interface {
	*P
	Neg(*P) *P
}

// place says what is going on at a bucket.
type place struct {
	batch uint32 // the batch that adds to it last; 0 while it is empty
	pair  uint32 // the pair that waits for its second point, plus one
}

// buckets are the sums of points by digit. Additions wait until a batch is full.
type buckets[P any, A affine[P]] struct {
	adder  adder[P]
	sums   []P
	places []place

	now  uint32   // the number of the batch that is being filled
	at   []uint32 // its buckets, each at most once
	what []P

	pairs, spare pairs[P]
	row          []uint32 // 0, 1, 2, …
}

// pairs are points whose bucket is taken in the batch. Two for one bucket are
// added to each other instead.
type pairs[P any] struct {
	at          []uint32
	left, right []P
	full        []bool
}

func newPairs[P any]() pairs[P] {
	return pairs[P]{at: make([]uint32, 0, batch), left: make([]P, batch), right: make([]P, batch), full: make([]bool, batch)}
}

func newBuckets[P any, A affine[P]](c int, adder adder[P]) *buckets[P, A] {
	b := &buckets[P, A]{
		adder: adder, sums: make([]P, 1<<(c-1)), places: make([]place, 1<<(c-1)), now: 2,
		at: make([]uint32, 0, batch), what: make([]P, batch),
		pairs: newPairs[P](), spare: newPairs[P](), row: make([]uint32, batch),
	}
	for i := range b.row {
		b.row[i] = uint32(i)
	}
	return b
}

// reset empties the buckets.
func (b *buckets[P, A]) reset() {
	clear(b.sums)
	clear(b.places)
	b.now = 2
}

// put adds each point to the bucket of its digit. Point i has digit number
// index[i], or i when there is no index.
func (b *buckets[P, A]) put(points []P, digits []int16, index []uint32) {
	var negative P
	for i := range points {
		digit := digits[i]
		if index != nil {
			digit = digits[index[i]]
		}
		switch {
		case digit > 0:
			b.one(uint32(digit)-1, &points[i])
		case digit < 0:
			A(&negative).Neg(&points[i])
			b.one(uint32(-int32(digit))-1, &negative)
		}
	}
}

func (b *buckets[P, A]) one(at uint32, point *P) {
	place := &b.places[at]
	switch place.batch {
	case b.now:
		b.pair(at, place, point)
	case 0:
		b.sums[at], place.batch = *point, 1
	default:
		place.batch = b.now
		n := len(b.at)
		b.at, b.what[n] = append(b.at, at), *point
		if n+1 == batch {
			b.flush()
		}
	}
}

func (b *buckets[P, A]) flush() {
	b.adder.add(b.sums, b.at, b.what[:len(b.at)])
	b.at = b.at[:0]
	b.now++
}

func (b *buckets[P, A]) pair(at uint32, place *place, point *P) {
	if place.pair != 0 {
		b.pairs.right[place.pair-1], b.pairs.full[place.pair-1] = *point, true
		place.pair = 0
		return
	}
	n := len(b.pairs.at)
	b.pairs.at, b.pairs.left[n], b.pairs.full[n] = append(b.pairs.at, at), *point, false
	place.pair = uint32(n) + 1
	if n+1 == batch {
		b.settle()
	}
}

// settle adds the pairs up and puts their sums, which begin at most half as many
// pairs anew.
func (b *buckets[P, A]) settle() {
	b.flush()
	p := b.pairs
	b.pairs, b.spare = b.spare, p
	b.pairs.at = b.pairs.at[:0]
	var infinity P
	for i, at := range p.at {
		b.places[at].pair = 0
		if !p.full[i] {
			p.right[i] = infinity
		}
	}
	b.adder.add(p.left, b.row[:len(p.at)], p.right[:len(p.at)])
	for i, at := range p.at {
		b.one(at, &p.left[i])
	}
}

// finish adds what still waits.
func (b *buckets[P, A]) finish() {
	for len(b.pairs.at) > 0 {
		b.settle()
	}
	b.flush()
}
