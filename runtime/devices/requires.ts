import type { Plan } from '../../compiler/plan/plan.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Capabilities } from './device.js'

/** Refuses a plan that needs what the device lacks: another class, a kernel, a precision, or a larger arena. */
export function refuseMissing(plan: Plan, device: string, capabilities: Capabilities): void {
  const missing: string[] = []
  // Plans with arenas also say in what order tensors live and die, which is all that tensor-ops devices need.
  if (plan.target.class === 'tensor-ops' && capabilities.class === 'arena') missing.push('planned arenas')
  for (const need of plan.target.requires) if (!capabilities.has.has(need)) missing.push(need)
  const limit = capabilities.arenaLimitBytes
  for (const [i, arena] of plan.arenas.entries())
    if (limit !== null && arena.bytes > limit)
      missing.push(`arena ${i} of ${arena.bytes} bytes (limit ${limit})`)
  if (missing.length === 0) return
  const what = missing.join(', ')
  throw new DiagnosticError([
    diagnose(
      'DINO0903',
      null,
      { device, plan: plan.name, what },
      { help: [`compile for this device: dinoc run FILE --device ${device}`] },
    ),
  ])
}
