import type { Rule } from './rule.js'

/** Every rule, in the order in which diagnostics are given for one variant. */
export const rules: readonly Rule[] = []
