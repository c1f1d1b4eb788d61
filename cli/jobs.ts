import { type CompiledVariant, type CompileTarget, compileVariant } from '../compiler/compile.js'
import { overBudget } from '../compiler/plan/findings.js'
import { nodeHost } from '../compiler/resolve/host.js'
import { type ResolvedFamily, type ResolvedVariant, resolve } from '../compiler/resolve/resolve.js'
import { diagnose } from '../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import { didYouMean } from '../diagnostics/nearest.js'
import type { Device } from '../runtime/devices/device.js'
import type { Job } from '../runtime/job.js'
import type { FileOptions } from './options.js'
import { hasErrors } from './print.js'

/** What a command that runs things picks from a file. */
export interface Picks {
  /** `no_koleo`, `base.no_koleo`, and for the unedited one `full`, `base` or `base.full`; null: all but aliases. */
  readonly only: readonly string[] | null
  /** Null: those of the file. */
  readonly seeds: readonly number[] | null
}

export interface PickedVariant {
  readonly family: ResolvedFamily
  readonly variant: ResolvedVariant
  readonly seeds: readonly number[]
}

/**
 * A file's experiments and variants, with faults thrown: a command that runs things goes no further. Warnings are
 * handed back.
 */
export function pickVariants(
  entry: string,
  options: FileOptions,
  picks: Picks,
  /** `shapes`: a benchmark needs neither data nor variables. */
  need: 'run' | 'shapes' = 'run',
): { readonly picked: readonly PickedVariant[]; readonly diagnostics: readonly Diagnostic[] } {
  const { diagnostics, experiments } = resolve(entry, nodeHost(), { ...options, env: process.env })
  const found = need === 'run' ? diagnostics.map(needed) : diagnostics
  if (hasErrors(found)) throw new DiagnosticError(found)
  const [alias] = aliasesNamed(entry, experiments)
  const only = picks.only && chosenVariants(experiments, picks.only)
  if (alias !== undefined)
    return { ...pickVariants(alias, options, { ...picks, only: null }, need), diagnostics: found }
  const picked = experiments.flatMap((family) =>
    family.variants
      .filter((variant) => only?.has(variant) ?? variant.aliasOf === null)
      .map((variant): PickedVariant => ({ family, variant, seeds: seedsOf(variant, picks.seeds) })),
  )
  return { picked, diagnostics: found }
}

/** `FILE#experiment.alias` -> `FILE#experiment.variant`, the one that is run in its place. */
function aliasesNamed(entry: string, experiments: readonly ResolvedFamily[]): string[] {
  return experiments.flatMap(({ name, variants: [first] }) =>
    first?.aliasOf == null ? [] : [`${entry.slice(0, entry.lastIndexOf('#'))}#${name}.${first.aliasOf}`],
  )
}

/** What `names` choose; an alias stands for the variant that is run in its place. DINO1040 for a name of none. */
function chosenVariants(
  experiments: readonly ResolvedFamily[],
  names: readonly string[],
): ReadonlySet<ResolvedVariant> {
  const byName = new Map<string, ResolvedVariant[]>()
  for (const family of experiments)
    for (const variant of family.variants) {
      const name = variant.resolved.variant
      const run = family.variants.find((v) => v.resolved.variant === (variant.aliasOf ?? name)) ?? variant
      const known = [name, `${family.name}.${name}`, ...(name === 'full' ? [family.name] : [])]
      for (const one of known) byName.set(one, [...(byName.get(one) ?? []), run])
    }
  const unknown = names.find((name) => !byName.has(name))
  if (unknown !== undefined) {
    const known = new Set(experiments.flatMap((f) => f.variants.map((v) => v.resolved.variant)))
    throw unknownName('variant', unknown, [...known])
  }
  return new Set(names.flatMap((name) => byName.get(name)!))
}

/** What `check` only warns of, a run cannot do without: features of a later version, variables that are not set. */
function needed(diagnostic: Diagnostic): Diagnostic {
  return neededCodes.has(diagnostic.code) ? { ...diagnostic, severity: 'error' } : diagnostic
}
const neededCodes: ReadonlySet<string> = new Set(['DINO0890', 'DINO0230'])

function seedsOf({ resolved }: ResolvedVariant, asked: readonly number[] | null): readonly number[] {
  if (asked === null) return resolved.seeds
  for (const seed of asked)
    if (!resolved.seeds.includes(seed)) throw unknownName('seed', String(seed), resolved.seeds.map(String))
  return asked
}

function unknownName(kind: 'variant' | 'seed', name: string, known: readonly string[]): DiagnosticError {
  const help =
    kind === 'variant' ? didYouMean(name, known) : [`--set ablation.seeds="[${[...known, name].join(', ')}]"`]
  return new DiagnosticError([diagnose('DINO1040', null, { kind, name, known: known.join(', ') }, { help })])
}

export function targetOf(device: Device): CompileTarget {
  const { has, arenaLimitBytes, memoryBytes } = device.capabilities()
  return { class: device.targetClass, capabilities: has, arenaLimitBytes, memoryBytes }
}

/**
 * Refuses what does not fit: `plan` only warns of it, a run would die of it. `deviceBytes`: what the device may use,
 * where the file says nothing.
 */
export function refuseOverBudget(
  compiled: ReadonlyMap<PickedVariant, CompiledVariant>,
  deviceBytes: number | null,
): void {
  const found = [...compiled].flatMap(([{ variant }, { cost }]) =>
    overBudget(variant.resolved, cost, ofOneRank(variant.resolved, deviceBytes)).map(
      (d): Diagnostic => ({ ...d, severity: 'error' }),
    ),
  )
  if (found.length > 0) throw new DiagnosticError(found)
}

/** Ranks on one machine share its memory. */
const ofOneRank = ({ hardware }: ResolvedVariant['resolved'], bytes: number | null): number | null =>
  bytes === null ? null : Math.floor(bytes / hardware.ranks)

/** Every variant compiled once, then one job a seed; variants in order, seeds within them. */
export function compileJobs(
  picked: readonly PickedVariant[],
  target: CompileTarget,
): { readonly jobs: readonly Job[]; readonly compiled: ReadonlyMap<PickedVariant, CompiledVariant> } {
  const compiled = new Map<PickedVariant, CompiledVariant>()
  const jobs = picked.flatMap((pick) => {
    const variant = compileVariant(pick.variant.resolved, target)
    compiled.set(pick, variant)
    return pick.seeds.map(
      (seed): Job => ({ spec: variant.runSpec(seed), plans: variant.plans, resolved: pick.variant.resolved }),
    )
  })
  return { jobs, compiled }
}

/** What is said of each variant, whatever its seeds; what several say alike once. */
export function oncePerVariant(
  jobs: readonly Job[],
  say: (spec: Job['spec']) => readonly Diagnostic[],
): readonly Diagnostic[] {
  const variants = new Map(jobs.map(({ spec }) => [JSON.stringify([spec.experiment, spec.variant]), spec]))
  const said = [...variants.values()].flatMap(say)
  return [...new Map(said.map((diagnostic) => [JSON.stringify(diagnostic), diagnostic])).values()]
}
