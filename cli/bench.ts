import type { Command } from 'commander'
import { compileVariant } from '../compiler/compile.js'
import { tensorBytes } from '../compiler/plan/cost-memory.js'
import { memoryText } from '../compiler/plan/figures.js'
import { peakAndBudget } from '../compiler/plan/findings.js'
import type { Plan } from '../compiler/plan/plan.js'
import { diagnose } from '../diagnostics/catalogue.js'
import { DiagnosticError } from '../diagnostics/diagnostic.js'
import { didYouMean } from '../diagnostics/nearest.js'
import { type BenchResult, bench } from '../runtime/bench.js'
import { openRunDevice } from '../runtime/devices/registry.js'
import { openForRun } from '../runtime/distributed/open.js'
import { exit } from './exit.js'
import { pickVariants, targetOf } from './jobs.js'
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
import { reportDiagnostics } from './print.js'
import { countOption } from './run-options.js'
import { aligned, rate, significant } from './terminal/figures.js'
import { UsageError } from './usage-error.js'

interface Options extends FileFlags, FormatFlags, RanksFlag {
  readonly device?: string
  readonly threads?: string
  readonly steps: string
  readonly phase?: string
}

export function define(command: Command): void {
  addFormatOption(
    addRanksOption(
      addFileOptions(command.argument('<file>', 'FILE#experiment.variant; the first one by default')),
    ),
  )
    .option('--device <name>', 'native, wasm, tensorflow, cuda, webgpu or interpret')
    .option('--threads <n>', 'threads of the device')
    .option('--steps <n>', 'steps that are timed, after two that are not', '10')
    .option('--phase <name>', 'the first one by default')
    .action(async (file: string, options: Options) => {
      process.exitCode = await run(file, options)
    })
}

/** Synthetic inputs of the experiment's shapes: no data, no run directory. */
async function run(file: string, options: Options): Promise<number> {
  const json = formatOption(options) === 'json'
  const { picked, diagnostics } = pickVariants(
    file,
    fileOptions({ ...options }),
    { only: null, seeds: null },
    'shapes',
  )
  const errors = diagnostics.filter((d) => d.severity === 'error')
  if (errors.length > 0) throw new DiagnosticError(errors)
  reportDiagnostics(diagnostics, json ? 'json' : 'human')
  const resolved = picked[0]?.variant.resolved
  if (resolved === undefined) throw new UsageError(`${file} defines no experiment`)
  const names = resolved.schedule.phases.map((phase) => phase.name)
  const phase = options.phase ?? names[0]!
  if (!names.includes(phase))
    throw new DiagnosticError([
      diagnose(
        'DINO1040',
        null,
        { kind: 'phase', name: phase, known: names.join(', ') },
        { help: didYouMean(phase, names) },
      ),
    ])
  const threads =
    options.threads === undefined ? resolved.hardware.threads : countOption('--threads', options.threads, 1)
  const asked = await openRunDevice(options.device ?? null, resolved.hardware.device, { threads })
  const { name } = asked.device
  const variant = compileVariant(resolved, targetOf(asked.device))
  await asked.device.close()
  const spec = variant.runSpec(resolved.seeds[0] ?? 0)
  const device = await openForRun(name, { threads }, spec)
  try {
    const file = spec.phases.find((p) => p.name === phase)!.plan
    const steps = countOption('--steps', options.steps, 1)
    refuseTooLarge(resolved.name, phase, variant.plans[file]!, device.capabilities().memoryBytes)
    const result = await bench({ spec, phase, plan: variant.plans[file]!, device, steps, warmup: 2 })
    process.stdout.write(
      json
        ? `${JSON.stringify({ formatVersion: 1, ...result })}\n`
        : text(`${resolved.name}.${resolved.variant}/${phase}`, result),
    )
  } finally {
    await device.close()
  }
  return exit.good
}

/** `deviceBytes`: of one rank, as the plan is. */
function refuseTooLarge(experiment: string, phase: string, plan: Plan, deviceBytes: number | null): void {
  const arenas = plan.arenas.reduce((sum, arena) => sum + arena.bytes, 0)
  const state = plan.state.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
  if (deviceBytes === null || arenas + state <= deviceBytes) return
  const found = diagnose(
    'DINO0801',
    null,
    { experiment, phase, ...peakAndBudget(arenas + state, deviceBytes), setBy: 'the device' },
    { help: ['time fewer images: --set schedule.batch="4 img"'] },
  )
  throw new DiagnosticError([{ ...found, severity: 'error' }])
}

function text(name: string, result: BenchResult): string {
  const share = (seconds: number): string => `${((100 * seconds) / result.secondsPerStep).toFixed(0)} %`
  const figures = [
    `${significant(result.secondsPerStep, 3)} s/step`,
    `${rate(result.imagesPerSecond)} images/s`,
    `${rate(result.gflops)} GFLOP/s`,
    `peak ${memoryText(result.peakRssBytes)}`,
  ]
  // What takes less than a hundredth each is one line.
  const small = result.parts.filter((part) => part.seconds < 0.01 * result.secondsPerStep)
  const rest = { name: `${small.length} others`, seconds: small.reduce((sum, part) => sum + part.seconds, 0) }
  const large = result.parts.filter((part) => !small.includes(part))
  const rows = [...large, ...(small.length === 0 ? [] : [rest])].map((part) => [
    `  ${part.name}`,
    `${significant(part.seconds * 1000, 3)} ms`,
    share(part.seconds),
  ])
  const table = aligned(rows, [{ align: 'left' }, { align: 'right', gap: 3 }, { align: 'right', gap: 3 }])
  return `${[`${name} on ${result.device}   ${figures.join('   ')}`, ...table].join('\n')}\n`
}
