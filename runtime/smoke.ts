import type { RunSpec } from '../compiler/plan/run-spec.js'

/**
 * The same run at two steps a phase: every plan is loaded and run, a checkpoint written and read back, each
 * evaluation made once before and once after. Its results mean nothing, and its identity is its own.
 */
export function smokeSpec(spec: RunSpec): RunSpec {
  const two = { value: 2, unit: 'step' } as const
  return {
    ...spec,
    configIdentity: `smoke ${spec.configIdentity}`,
    phases: spec.phases.map((phase) => ({ ...phase, length: two })),
    evaluations: spec.evaluations.map((e) => ({ ...e, protocol: { ...e.protocol, every: null } })),
    monitors: [],
    checkpoint: { every: two, keep: 1 },
  }
}
