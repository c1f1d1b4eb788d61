import type { RunSpec } from '../../compiler/plan/run-spec.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { type Diagnostic, DiagnosticError } from '../../diagnostics/diagnostic.js'
import { allImages, type Dataset, imageName, type Selection } from './dataset.js'
import { contentsOf, evaluationIdentity, groupOf, labelOf } from './identity.js'
import { requestOf } from './loader.js'
import type { RenderPool } from './pool.js'
import type { RenderTask } from './render.js'
import { imagePath, refuseTooMany, type UnreadableImages, unreadableShare } from './unreadable.js'
import { openVerdicts } from './verdicts.js'

/** Images of an evaluation, whole and in a fixed order; no augmentation. */
export interface EvaluationImages {
  /** Hash of names, labels and contents. */
  readonly identity: string
  /** Relative to their source. */
  readonly names: readonly string[]
  /** Class of each image, -1 where it has none. */
  readonly labels: Int32Array
  readonly classes: readonly string[]
  /** What the split keeps together (`by`), where it says so. An image without a value is a group of its own. */
  readonly groups: readonly string[] | null
  /**
   * `[images, channels, px, px]`, normalised: the shorter side resized to px * 256 / 224 (bicubic), the middle cut out; in
   * `into` where it has that length.
   */
  read(images: readonly number[], px: number, into?: Float32Array): Promise<Float32Array>
  /** `[images, px * px * channels]`, bytes / 255: whole images at px x px, for a floor without learning. */
  thumbnails(images: readonly number[], px: number): Promise<Float32Array>
}

export interface EvaluationContext {
  readonly dataset: Dataset
  readonly channels: number
  readonly provenance: RunSpec['provenance']
  readonly pool: RenderPool
  readonly unreadable: UnreadableImages
  readonly cacheDirectory: string | null
  readonly log: (diagnostic: Diagnostic) => void
}

const imagesPerTask = 16

/**
 * The readable images of a selection. Every one is decoded once, in this run or an earlier one, to see whether it can be:
 * an unreadable one is named in the log and left out, so that all variants and steps measure the same images. DINO1007
 * where too many are.
 */
export async function openEvaluationImages(
  context: EvaluationContext,
  selection: Selection,
): Promise<EvaluationImages> {
  const { dataset, pool, channels, unreadable } = context
  const all = allImages(selection)
  const contents = await contentsOf(dataset, all, context.cacheDirectory)
  const identity = evaluationIdentity(dataset, all, contents)
  const verdicts = openVerdicts(context.cacheDirectory)
  const untried: number[] = []
  for (const [place, image] of all.entries()) {
    const verdict = verdicts.get(contents.hashes[place]!)
    if (verdict === undefined) untried.push(place)
    else if (verdict !== null) unreadable.reasons.set(image, verdict)
  }
  await inTasks(untried, async (places) => {
    const requests = places.map((place) => requestOf(dataset, all[place]!))
    const failures = new Map(
      (await pool.run({ kind: 'probe', images: requests })).map(({ at, reason }) => [at, reason]),
    )
    for (const [at, place] of places.entries()) {
      const reason = failures.get(at) ?? null
      if (reason !== null) unreadable.reasons.set(all[place]!, reason)
      // What could not even be opened may be there the next time.
      if (contents.hashes[place] !== 'unreadable') verdicts.set(contents.hashes[place]!, reason)
    }
  })
  verdicts.save()
  const images = all.filter((image) => !unreadable.reasons.has(image))
  const bad = [...all].filter((image) => unreadable.reasons.has(image))
  for (const image of bad) {
    if (unreadable.leftOut.has(image)) continue
    unreadable.leftOut.add(image)
    const reason = unreadable.reasons.get(image)!
    context.log(diagnose('DINO1022', null, { path: imagePath(dataset, image), reason }))
  }
  const what = `images of \`${selection.text}\``
  refuseTooMany(dataset, context.provenance, bad, all.length, unreadableShare.images, what)
  const labelNames = Array.from(images, (image) => labelOf(dataset, image))
  const classes = [...new Set(labelNames.filter((name) => name !== null))].sort()
  const numbers = new Map(classes.map((name, i) => [name, i]))
  const without = labelNames.filter((name) => name === null).length
  if (without > 0 && without < images.length)
    context.log(diagnose('DINO1015', null, { reference: selection.text, without, of: images.length }))
  const names = Array.from(images, (image) => imageName(dataset, image))
  const groupNames = Array.from(images, (image) => groupOf(dataset, image))

  // Kept for the next batch: threads that saw a buffer hold on to it until they collect garbage, which takes them long.
  const spare: SharedArrayBuffer[] = []

  async function render(
    chosen: readonly number[],
    floats: number,
    task: (out: SharedArrayBuffer, first: number, requests: ReturnType<typeof requestOf>[]) => RenderTask,
    into?: Float32Array,
  ): Promise<Float32Array> {
    const bytes = chosen.length * floats * 4
    const at = spare.findIndex((buffer) => buffer.byteLength === bytes)
    const out = at < 0 ? new SharedArrayBuffer(bytes) : spare.splice(at, 1)[0]!
    await inTasks([...chosen.keys()], async (places) => {
      const requests = places.map((place) => requestOf(dataset, images[chosen[place]!]!))
      const [failure] = await pool.run(task(out, places[0]!, requests))
      if (!failure) return
      const path = imagePath(dataset, images[chosen[places[failure.at]!]!]!)
      throw new DiagnosticError([diagnose('DINO1023', null, { path, reason: failure.reason })])
    })
    const shared = new Float32Array(out)
    const values = into?.length === shared.length ? into : new Float32Array(shared.length)
    values.set(shared)
    spare.splice(0, spare.length, ...spare.slice(-1), out)
    return values
  }

  return {
    identity,
    names,
    classes,
    labels: Int32Array.from(labelNames, (name) => (name === null ? -1 : numbers.get(name)!)),
    groups: groupNames.some((name) => name !== null) ? groupNames.map((name, i) => name ?? names[i]!) : null,
    read(chosen, px, into) {
      const resizePx = Math.trunc((px * 256) / 224)
      return render(
        chosen,
        channels * px * px,
        (out, first, images) => ({ kind: 'evaluate', px, resizePx, out, first, images }),
        into,
      )
    },
    thumbnails(chosen, px) {
      return render(chosen, channels * px * px, (out, first, requests) => ({
        kind: 'thumbnail',
        px,
        out,
        first,
        images: requests,
      }))
    },
  }
}

/** Cuts a list into tasks; the pool does as many at a time as it has threads. */
async function inTasks(items: readonly number[], task: (items: number[]) => Promise<void>): Promise<void> {
  const tasks: Promise<void>[] = []
  for (let at = 0; at < items.length; at += imagesPerTask)
    tasks.push(task(items.slice(at, at + imagesPerTask)))
  await Promise.all(tasks)
}
