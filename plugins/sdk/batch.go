package sdk

import "github.com/consensys/gnark/frontend"

// Gadgets over all messages of a task. Only used slots count in any of them.

// timeBits is how many bits a message's time has.
const timeBits = 64

// SameDevice is 1 if slots i and j hold messages of one device, both used or
// not. It costs 2 constraints, once.
func (m *Messages) SameDevice(i, j int) frontend.Variable {
	pair := [2]int{min(i, j), max(i, j)}
	if bit, ok := m.same[pair]; ok {
		return bit
	}
	if m.same == nil {
		m.same = make(map[[2]int]frontend.Variable)
	}
	m.same[pair] = m.api.IsZero(m.api.Sub(m.Items[i].DeviceID, m.Items[j].DeviceID))
	return m.same[pair]
}

// Devices counts the devices that the messages come from. With SameDevice it
// costs 3 constraints for each pair of slots.
func (m *Messages) Devices() frontend.Variable {
	count := m.Items[0].Used
	for j := 1; j < len(m.Items); j++ {
		first := frontend.Variable(1)
		for i := range j {
			first = m.api.Mul(first, m.api.Sub(1, m.SameDevice(i, j)))
		}
		count = m.api.Add(count, m.api.Mul(m.Items[j].Used, first))
	}
	return count
}

// AssertDistinct says that no two used slots have the same device and nonce, so
// that nothing counts twice. With SameDevice it costs 7 constraints for each
// pair of slots.
func (m *Messages) AssertDistinct() {
	for j, b := range m.Items {
		for i, a := range m.Items[:j] {
			nonce := m.api.IsZero(m.api.Sub(a.Nonce, b.Nonce))
			// Slot j is used only if every slot before it is.
			m.api.AssertIsEqual(m.api.Mul(m.api.Mul(m.SameDevice(i, j), nonce), b.Used), 0)
		}
	}
}

// AssertDeviceOrder says that among the messages of each device, in the order
// of the slots, the nonce rises and the time does not fall: nothing counts
// twice, and no device's clock goes backwards within the task. With SameDevice
// it costs 4 constraints for each pair of slots and 132 for each slot but the
// first.
func (m *Messages) AssertDeviceOrder() {
	for j := 1; j < len(m.Items); j++ {
		b := m.Items[j]
		// One above the latest nonce of the device so far, and its latest time.
		// Each rises along the slots, so the last one is the greatest.
		nonce, time := frontend.Variable(0), frontend.Variable(0)
		for i, a := range m.Items[:j] {
			same := m.SameDevice(i, j)
			nonce = m.api.Select(same, m.api.Add(a.Nonce, 1), nonce)
			time = m.api.Select(same, a.Time, time)
		}
		m.api.ToBinary(m.api.Mul(b.Used, m.api.Sub(b.Nonce, nonce)), timeBits)
		m.api.ToBinary(m.api.Mul(b.Used, m.api.Sub(b.Time, time)), timeBits)
	}
}

// WithoutOverlap picks, in the order of the slots, the messages whose period does
// not begin before the last picked one of the same device has ended: 1 for each of
// them, 0 for every other slot. A used slot's start must be known to have 64 bits,
// its end to be above the start and below 2^65, and both must be below 2^65 in a
// slot that is not used. With SameDevice it costs 3 constraints for each pair of
// slots and 69 for each slot but the first.
func (m *Messages) WithoutOverlap(starts, ends []frontend.Variable) []frontend.Variable {
	picked := make([]frontend.Variable, len(m.Items))
	last := make([]frontend.Variable, len(m.Items)) // end of what was picked of the slot's device, the slot included
	picked[0], last[0] = m.Items[0].Used, ends[0]
	for j := 1; j < len(m.Items); j++ {
		before := frontend.Variable(0)
		for i := range j {
			before = m.api.Select(m.SameDevice(i, j), last[i], before)
		}
		picked[j] = m.api.Mul(m.Items[j].Used, IsAtLeast(m.api, starts[j], before, timeBits+1))
		last[j] = m.api.Add(before, m.api.Mul(picked[j], m.api.Sub(ends[j], before)))
	}
	return picked
}

// AssertTimesInOrder says that the messages' times do not fall from slot to
// slot. It costs 66 constraints for each slot but the first.
func (m *Messages) AssertTimesInOrder() {
	for j := 1; j < len(m.Items); j++ {
		a, b := m.Items[j-1], m.Items[j]
		m.api.ToBinary(m.api.Mul(b.Used, m.api.Sub(b.Time, a.Time)), timeBits)
	}
}

// AssertTimeWindow says that every message's time lies in start to end,
// milliseconds since 1970, both included and known to have 64 bits. It costs 132
// constraints for each slot.
func (m *Messages) AssertTimeWindow(start, end frontend.Variable) {
	for _, msg := range m.Items {
		m.api.ToBinary(m.api.Mul(msg.Used, m.api.Sub(msg.Time, start)), timeBits)
		m.api.ToBinary(m.api.Mul(msg.Used, m.api.Sub(end, msg.Time)), timeBits)
	}
}

// AssertTimeSpan says that first and last are the earliest and the latest time
// of the messages. It costs 134 constraints for each slot.
func (m *Messages) AssertTimeSpan(first, last frontend.Variable) {
	times := make([]frontend.Variable, len(m.Items))
	for i, msg := range m.Items {
		times[i] = msg.Time
	}
	m.AssertIsMin(first, times, timeBits)
	m.AssertIsMax(last, times, timeBits)
}

// AssertIsMin says that low is the least of values over the used slots. There
// each value must be known to be 0 to 2^bits−1, bits at most 248; then low is,
// too. It costs bits + 3 constraints for each slot.
func (m *Messages) AssertIsMin(low frontend.Variable, values []frontend.Variable, bits int) {
	m.assertBound(values, func(v frontend.Variable) frontend.Variable { return m.api.Sub(v, low) }, bits)
}

// AssertIsMax says that high is the greatest of values over the used slots.
// There each value must be known to be 0 to 2^bits−1, bits at most 248; then
// high is, too. It costs bits + 3 constraints for each slot.
func (m *Messages) AssertIsMax(high frontend.Variable, values []frontend.Variable, bits int) {
	m.assertBound(values, func(v frontend.Variable) frontend.Variable { return m.api.Sub(high, v) }, bits)
}

// assertBound says that distance is not negative for any used slot and zero for
// one of them. That one's value is in range, so the bound is.
func (m *Messages) assertBound(values []frontend.Variable, distance func(frontend.Variable) frontend.Variable, bits int) {
	product := frontend.Variable(1)
	for i, v := range values {
		d := m.api.Mul(m.Items[i].Used, distance(v))
		m.api.ToBinary(d, bits)
		// An unused slot has distance 0 and must not count as a hit.
		product = m.api.Mul(product, m.api.Add(d, m.api.Sub(1, m.Items[i].Used)))
	}
	m.api.AssertIsEqual(product, 0)
}
