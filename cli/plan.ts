import type { Command } from 'commander'
import { embeddedTarget, planVariant } from '../compiler/compile.js'
import { jumps, overBudget } from '../compiler/plan/findings.js'
import type { ResolvedFamily } from '../compiler/resolve/resolve.js'
import type { ResolvedExperiment } from '../compiler/resolve/resolved.js'
import { exit } from './exit.js'
import {
  addFileOptions,
  addFormatOption,
  addRanksOption,
  type FileFlags,
  type FormatFlags,
  fileOptions,
  formatOption,
  type RanksFlag,
} from './options.js'
import { dataAtHand } from './plan/data-at-hand.js'
import { emit, emitStages } from './plan/emit.js'
import { explain } from './plan/explain.js'
import { planJson } from './plan/json.js'
import type { PlannedFamily, PlannedVariant } from './plan/planned.js'
import { planText } from './plan/text.js'
import { columnsOf, reportDiagnostics, usesColor } from './print.js'
import { resolveFile } from './resolve-file.js'
import { UsageError } from './usage-error.js'

interface Options extends FileFlags, FormatFlags, RanksFlag {
  readonly memory?: boolean
  readonly explain?: boolean
  readonly emit?: string
  readonly after?: string
  readonly phase?: string
}

export function define(command: Command): void {
  addFormatOption(
    addRanksOption(
      addFileOptions(command.argument('<file>', 'FILE, FILE#experiment or FILE#experiment.variant')),
    ),
  )
    .option('--memory', 'list everything that is alive at the peak')
    .option('--explain', 'what each pass saves: operations, FLOPs, bytes moved, peak memory')
    .option('--emit <stage>', `print a stage instead: ${emitStages.join(', ')}`)
    .option('--after <pass>', 'with --emit ir: the module after this pass')
    .option('--phase <name>', 'with --explain and --emit: this phase; the first one by default')
    .action((file: string, options: Options) => {
      process.exitCode = run(file, options)
    })
}

function run(file: string, options: Options): number {
  const format = formatOption(options)
  if (options.after !== undefined && options.emit !== 'ir')
    throw new UsageError('--after PASS belongs to --emit ir', ['--emit ir --after pack'])
  const given = fileOptions({ ...options })
  if (options.emit !== undefined) {
    process.stdout.write(emit(file, given, { ...options, stage: options.emit }))
    return exit.good
  }
  const { experiments } = resolveFile(file, given, format)
  if (options.explain) {
    process.stdout.write(explain(experiments, options.phase ?? null, format))
    return exit.good
  }
  const families = experiments.map(planFamily)
  process.stdout.write(
    format === 'json'
      ? `${JSON.stringify(planJson(families))}\n`
      : planText(families, {
          color: usesColor(process.stdout),
          width: columnsOf(process.stdout),
          memory: options.memory === true,
        }),
  )
  const findings = families.flatMap(({ variants }) => variants.flatMap((variant) => variant.findings))
  reportDiagnostics(
    findings.filter((d) => d.severity !== 'note'),
    format,
  )
  return exit.good
}

function planFamily({ name, variants }: ResolvedFamily): PlannedFamily {
  const planned = new Map<string, PlannedVariant>()
  for (const { resolved, aliasOf } of variants) {
    const same = aliasOf === null ? undefined : planned.get(aliasOf)
    planned.set(resolved.variant, same ? { ...same, resolved, aliasOf, findings: [] } : planOne(resolved))
  }
  return { name, variants: [...planned.values()] }
}

function planOne(resolved: ResolvedExperiment): PlannedVariant {
  const data = dataAtHand(resolved)
  const cost = planVariant(resolved, embeddedTarget, data.trainingImages)
  return {
    resolved,
    aliasOf: null,
    cost,
    trainingImages: data.trainingImages,
    findings: [...data.findings, ...jumps(resolved, cost), ...overBudget(resolved, cost, null)],
  }
}
