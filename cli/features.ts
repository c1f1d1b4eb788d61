import type { Command } from 'commander'
import { featureName } from '../compiler/plan/build-run-spec.js'
import type { DataReference, Evaluation, ResolvedExperiment, Source } from '../compiler/resolve/resolved.js'
import { diagnose } from '../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import { didYouMean } from '../diagnostics/nearest.js'
import { openRunData } from '../runtime/data/run-data.js'
import { openRunDevice } from '../runtime/devices/registry.js'
import { replaceChunks } from '../runtime/durable.js'
import type { Settings } from '../runtime/job.js'
import { runFeatures } from '../runtime/run-features.js'
import { encodeSafetensors } from '../runtime/safetensors.js'
import { exit } from './exit.js'
import { compileJobs, pickVariants, targetOf } from './jobs.js'
import {
  addFileOptions,
  addFormatOption,
  type FileFlags,
  type FormatFlags,
  fileOptions,
  formatOption,
} from './options.js'
import { reportDiagnostics } from './print.js'
import { addDeviceOptions, countOption, type DeviceFlags, runCommand } from './run-options.js'
import { grouped } from './terminal/figures.js'
import { imageReports } from './terminal/image-reports.js'
import { UsageError } from './usage-error.js'

interface Options extends DeviceFlags, FileFlags, FormatFlags {
  readonly out: string
  readonly what: string
  readonly of?: string
  readonly images?: string
  readonly resolution?: string
  readonly untrained?: boolean
  readonly runs: string
  readonly seed?: string
}

export function define(command: Command): void {
  const withFile = command.argument('<file>', 'FILE#experiment.variant; the first one by default')
  addDeviceOptions(addFormatOption(addFileOptions(withFile)))
    .requiredOption('--out <file>', 'the safetensors file to write')
    .option('--what <outputs>', 'cls, patches or both: cls,patches', 'cls')
    .option('--of <network>', 'teacher, student or keep')
    .option(
      '--images <reference>',
      'SOURCE or SOURCE.SPLIT; the test images of the first evaluation by default',
    )
    .option('--resolution <px>', 'the size of the first evaluation by default')
    .option('--untrained', 'of the network before training')
    .option('--runs <dir>', 'where runs are kept', 'runs')
    .option('--seed <number>', 'the first one by default')
    .action(async (file: string, options: Options) => {
      process.exitCode = await features(file, options)
    })
}

/** Writes what a trained network sees in images, for whatever one wants to do with it. */
async function features(file: string, options: Options): Promise<number> {
  const json = formatOption(options) === 'json'
  const { picked, diagnostics } = pickVariants(file, fileOptions({ ...options }), {
    only: null,
    seeds: options.seed === undefined ? null : [countOption('--seed', options.seed, 0)],
  })
  const [first] = picked
  if (first === undefined) throw new UsageError(`${file} defines no experiment`)
  const outputs = outputsOf(options.what)
  const order = orderOf(first.variant.resolved, options)
  // One more evaluation is all it takes: its plan and its images come with the run spec.
  const resolved = {
    ...first.variant.resolved,
    eval: { ...first.variant.resolved.eval, [order.name]: order.evaluation },
  }
  reportDiagnostics(
    diagnostics.filter((d) => d.severity !== 'note'),
    json ? 'json' : 'human',
  )
  const { hardware } = resolved
  const threads =
    options.threads === undefined ? hardware.threads : countOption('--threads', options.threads, 1)
  const { device } = await openRunDevice(options.device ?? null, hardware.device, { threads })
  try {
    const seeds = first.seeds.slice(0, 1)
    const { jobs } = compileJobs(
      [{ ...first, variant: { resolved, aliasOf: null }, seeds }],
      targetOf(device),
    )
    const told: Diagnostic[] = []
    const reports = imageReports()
    const loaders =
      options.loaders === undefined ? hardware.loaders : countOption('--loaders', options.loaders, 1)
    const settings: Settings = {
      ...{ runsRoot: options.runs, mode: 'evaluate', threads, loaders, evaluationImages: null },
      command: runCommand(file, options),
      openDevice: async () => device,
      openData: ({ spec, plans }, log) =>
        openRunData({ spec, plan: (span) => plans[span.phase.plan]!, log, threads: loaders }),
      stopping: () => false,
      emit: (event) => {
        if (!json) told.push(...reports(event, '--json'))
        else if (event.type === 'diagnostic') told.push(event.diagnostic)
      },
    }
    const { of, resolution, test } = order.evaluation
    const found = await runFeatures(
      jobs[0]!,
      { plan: featureName(of, resolution), images: test, outputs, untrained: options.untrained === true },
      settings,
    )
    reportDiagnostics(told, json ? 'json' : 'human')
    await replaceChunks(options.out, encodeSafetensors(found.tensors, found.metadata))
    const shapes = Object.fromEntries([...found.tensors].map(([name, { shape }]) => [name, shape]))
    process.stdout.write(
      json
        ? `${JSON.stringify({ formatVersion: 1, out: options.out, step: found.step, of, resolutionPx: resolution, shapes })}\n`
        : `${options.out}   ${grouped(found.images)} images at ${resolution} px, ${of} after step ${found.step}: ${Object.entries(
            shapes,
          )
            .map(([name, shape]) => `${name} [${shape.join(', ')}]`)
            .join(', ')}\n`,
    )
    return exit.good
  } finally {
    await device.close()
  }
}

function outputsOf(text: string): ('cls' | 'patches')[] {
  const names = text.split(',').map((name) => name.trim())
  for (const name of names)
    if (name !== 'cls' && name !== 'patches')
      throw new UsageError(`--what ${text}: expected cls, patches or cls,patches`)
  return names as ('cls' | 'patches')[]
}

function orderOf(resolved: ResolvedExperiment, options: Options): { name: string; evaluation: Evaluation } {
  const [usual] = Object.values(resolved.eval)
  const of = options.of ?? usual?.of ?? (resolved.keep === null ? 'teacher' : 'keep')
  if (of !== 'teacher' && of !== 'student' && of !== 'keep')
    throw new UsageError(`--of ${of}: expected teacher, student or keep`)
  if (of === 'keep' && resolved.keep === null)
    throw new UsageError('--of keep: this experiment keeps no average')
  const { patch } = resolved.backbone
  const resolution =
    options.resolution === undefined
      ? (usual?.resolution ?? resolved.crops.global.size)
      : countOption('--resolution', options.resolution.replace(/px$/, ''), patch)
  if (resolution % patch !== 0)
    throw new UsageError(`--resolution ${resolution}: expected a multiple of the patch size, ${patch} px`, [
      `--resolution ${Math.max(patch, Math.round(resolution / patch) * patch)}`,
    ])
  const test =
    options.images === undefined
      ? (usual?.test ?? resolved.data!.train)
      : referenceOf(resolved, options.images)
  return { name: 'features', evaluation: { type: 'knn', train: null, test, of, resolution, every: null } }
}

/** `twemoji` or `twemoji.test`, of the sources that the experiment reaches. */
function referenceOf(resolved: ResolvedExperiment, text: string): DataReference {
  const [source, split, ...rest] = text.split('.')
  const names = Object.keys(resolved.sources)
  const found: Source | undefined = resolved.sources[source!]
  if (found === undefined || rest.length > 0)
    throw new DiagnosticError([
      diagnose(
        'DINO1040',
        null,
        { kind: 'source', name: text, known: names.join(', ') },
        { help: didYouMean(source!, names) },
      ),
    ])
  return { kind: 'source', source: source!, splits: split === undefined ? null : [split] }
}
