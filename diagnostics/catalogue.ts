import { blocks } from './catalogue/blocks.js'
import { device } from './catalogue/device.js'
import type { Entry } from './catalogue/entry.js'
import { experiment } from './catalogue/experiment.js'
import { internal } from './catalogue/internal.js'
import { ir } from './catalogue/ir.js'
import { lex } from './catalogue/lex.js'
import { lint } from './catalogue/lint.js'
import { names } from './catalogue/names.js'
import { parse } from './catalogue/parse.js'
import { plan } from './catalogue/plan.js'
import { run } from './catalogue/run.js'
import { runtime } from './catalogue/runtime.js'
import { sharding } from './catalogue/sharding.js'
import { values } from './catalogue/values.js'
import type { Diagnostic, Fix, Label, Span } from './diagnostic.js'

/** Every diagnostic there is. Codes are never reused; each has a page under docs/diagnostics/. */
export const catalogue = {
  ...lex,
  ...parse,
  ...names,
  ...blocks,
  ...values,
  ...experiment,
  ...ir,
  ...sharding,
  ...plan,
  ...device,
  ...runtime,
  ...run,
  ...lint,
  ...internal,
} as const

export type Code = keyof typeof catalogue
type ArgsOf<C extends Code> = (typeof catalogue)[C] extends Entry<infer A> ? A : never

export interface Extras {
  /** Written under the primary span. */
  readonly label?: string
  readonly labels?: readonly Label[]
  readonly notes?: readonly string[]
  readonly help?: readonly string[]
  readonly fixes?: readonly Fix[]
}

/** `diagnose('DINO0502', span, { size: 98, patch: 16 }, { help: ['use 96px'] })` */
export function diagnose<C extends Code>(
  code: C,
  at: Span | null,
  args: ArgsOf<C>,
  extras: Extras = {},
): Diagnostic {
  const found = catalogue[code] as unknown as Entry<ArgsOf<C>>
  return {
    code,
    severity: found.severity,
    message: found.message(args),
    primary: at && { span: at, message: extras.label ?? '' },
    labels: extras.labels ?? [],
    notes: extras.notes ?? [],
    help: extras.help ?? [],
    fixes: extras.fixes ?? [],
  }
}
