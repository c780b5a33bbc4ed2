package api

import (
	"fmt"
	"slices"
)

// ContainerRestartRule says what follows when a program ends in a certain way.
type ContainerRestartRule struct {
	// Action is Restart: the container is started again.
	Action RestartRuleAction `json:"action"`
	// ExitCodes that the rule is for.
	ExitCodes *RestartRuleExitCodes `json:"exitCodes"`
}

// RestartRuleAction is what a rule does.
type RestartRuleAction string

// ActionRestart starts the container again, whatever its policy.
const ActionRestart RestartRuleAction = "Restart"

// RestartRuleExitCodes is a set of exit codes.
type RestartRuleExitCodes struct {
	// Operator is In, or NotIn for all but the values.
	Operator RestartRuleOperator `json:"operator"`
	// Values are at most 255 exit codes.
	Values []int `json:"values,omitempty"`
}

// RestartRuleOperator says which exit codes the values stand for.
type RestartRuleOperator string

// The operators, as in Kubernetes.
const (
	ExitCodeIn    RestartRuleOperator = "In"
	ExitCodeNotIn RestartRuleOperator = "NotIn"
)

// Fits tells whether the rule is for a program that ended with that exit code.
func (r *ContainerRestartRule) Fits(code int) bool {
	return slices.Contains(r.ExitCodes.Values, code) == (r.ExitCodes.Operator == ExitCodeIn)
}

const (
	maxRestartRules = 20
	maxRuleValues   = 255
)

func (c *checker) restartRules(ct *Container, field string) {
	at := field + ".restartPolicyRules"
	c.check(len(ct.RestartPolicyRules) == 0 || ct.RestartPolicy != "", at, "need restartPolicy")
	c.check(len(ct.RestartPolicyRules) <= maxRestartRules, at, "must be at most %d", maxRestartRules)
	for i, rule := range ct.RestartPolicyRules {
		at := fmt.Sprintf("%s[%d]", at, i)
		oneOf(c, rule.Action, at+".action", ActionRestart)
		if rule.ExitCodes == nil {
			c.bad(at+".exitCodes", "is needed")
			continue
		}
		oneOf(c, rule.ExitCodes.Operator, at+".exitCodes.operator", ExitCodeIn, ExitCodeNotIn)
		c.check(len(rule.ExitCodes.Values) <= maxRuleValues, at+".exitCodes.values", "must be at most %d", maxRuleValues)
	}
}
