// Package policy keeps network policies as security groups of cis.
//
// Pods that the policies treat alike are a class, and each class that policies isolate is a
// security group with the rules of all of them, whose peers are the addresses of pods. Pods
// that no policy selects are in the open group. So a pod is in one group at any time: a change
// of a policy or of a peer is a change of a group's rules, and a change of which policies
// select a pod moves the pod to another group; both reach pods that run.
//
// state.go, class.go, rules.go and prefix.go say what should be and ask nobody; groups.go
// and kept.go make it so. What cannot be had of a policy stays closed, and its policy is
// told. The package knows the pods of its node alone, and never looks at traffic.
package policy
