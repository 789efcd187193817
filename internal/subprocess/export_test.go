package subprocess

// What decides about memory is tested by itself: a test that asked for too much
// and was not refused would end other processes of the machine.
var (
	CheckMemoryWith = checkMemory
	AvailableMemory = availableMemory
)
