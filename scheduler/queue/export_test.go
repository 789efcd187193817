package queue

// CheckVersion is checkVersion, for its table.
var CheckVersion = checkVersion
