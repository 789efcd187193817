package host

// RunDir is where a host's processes work.
func RunDir(h *Host) string { return h.runDir.Path() }
