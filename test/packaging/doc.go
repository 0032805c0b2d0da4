// Package packaging holds the tests of what lies in packaging/: units, alert rules, the
// dashboard. The tools that these are for judge them; what they share with the program,
// its flags, its folder and its metrics, is compared with the program itself.
package packaging
