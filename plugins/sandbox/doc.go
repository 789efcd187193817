// Package sandbox runs a plugin's executable with nothing but what it needs to
// solve: its own memory, the files it was given, and one socket.
//
// A program that runs plugins starts itself once more as a shim ([Main] is the
// shim's main function), which takes rights away from itself, one [Layer] after
// the other, and then becomes the plugin. So every layer is in force before the
// plugin's first instruction, and holds for whatever the plugin does.
//
// The kernel is the authority on which layers there are: [Probe] puts each in
// force in a process of its own and tries there what it forbids. What the probe
// saw work must work at every start: a shim that cannot put one of its layers in
// force ends instead of running the plugin. What to do about a layer that is
// missing is the caller's [Mode].
package sandbox
