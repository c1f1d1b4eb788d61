import type { Func, Module, StateTensor, ValueId } from '../../../compiler/ir/types.js'
import { batchCenter, centerName, handOverCenter, moveCenter } from '../../../compiler/lower/centers.js'
import { type Entry, type Inputs, openEntry } from '../../../compiler/lower/entry.js'
import { dinoGlobal, dinoLocal, ibot, koleo, teacherTargets } from '../../../compiler/lower/losses.js'
import { f32 } from '../../../compiler/lower/network.js'
import type { ComparedObjective } from '../../../compiler/lower/step.js'
import { maskedRows } from '../../../compiler/lower/views.js'
import type { Centering } from '../../../compiler/resolve/resolved.js'
import type { Device } from '../../../runtime/devices/device.js'
import { type Loaded, load } from '../execute.js'
import { type Fixture, FixtureError, type FixtureTensor, get, number, sizes } from '../fixture.js'
import type { Report } from '../report.js'

type Data = ArrayLike<number>

/** 05: DINO targets, centers, losses and gradients. */
export async function checkDinoLoss(fixture: Fixture, device: Device, report: Report): Promise<void> {
  const { config } = fixture
  const images = number(config.B)
  const local = number(config.n_local)
  const prototypes = number(config.out_dim)
  const shape: LossShape = {
    on: 'cls',
    rows: 2 * images,
    prototypes,
    teacherTemp: number(config.teacher_temp),
    centerMomentum: number(config.center_momentum),
  }
  await checkTargets(fixture, device, report, shape)
  const temp = number(config.student_temp)
  for (const centering of ['sinkhorn', 'centering'] as const) {
    const probs = get(fixture.tensors, centering === 'sinkhorn' ? 'sinkhorn.t0' : 'probs.1')
    const terms = [
      {
        name: 'global',
        // The case pairs row i with row i; the step pairs the two crops of an image, so the targets come swapped.
        targets: swapHalves(probs.data),
        lower: (entry: Entry, logits: ValueId, t: ValueId) =>
          dinoGlobal(entry.b, logits, t, { studentTemp: temp, scale: 1 / (2 * images), images }).value,
      },
      {
        name: 'local',
        targets: probs.data,
        lower: (entry: Entry, logits: ValueId, t: ValueId) =>
          dinoLocal(entry.b, logits, t, { studentTemp: temp, scale: 1 / images, images, globalCrops: 2 }),
      },
    ]
    for (const { name, targets, lower } of terms) {
      const student = get(fixture.tensors, `student.${name}`)
      const run = await load(device, lossModule(student, shape.rows, lower), () => undefined)
      await run.run({ logits: student.data, targets })
      await checkLoss(fixture, report, run, `loss.${name}.${centering}`, `grad.student.${name}.${centering}`)
      await run.close()
    }
    if (student(fixture, 'local').shape[0] !== local * images)
      report.that('student.local', false, `${local} local crops of ${images} images expected`)
  }
}

const student = (fixture: Fixture, name: string) => get(fixture.tensors, `student.${name}`)

/** 06: iBOT targets, centers, loss and gradients on the masked rows of a larger buffer. */
export async function checkIbotLoss(fixture: Fixture, device: Device, report: Report): Promise<void> {
  const { config } = fixture
  const masked = number(config.n_masked_patches)
  // As in a step: the buffer has room for more rows than are masked.
  const rows = masked + 3
  await checkTargets(fixture, device, report, {
    on: 'masked_patches',
    rows,
    prototypes: number(config.patch_out_dim),
    teacherTemp: number(config.teacher_temp),
    centerMomentum: number(config.center_momentum),
    masked,
  })
  const logits = get(fixture.tensors, 'student')
  const temp = number(config.student_temp)
  const crops = number(config.n_global_crops_in_batch)
  for (const centering of ['sinkhorn', 'centering'] as const) {
    const probs = get(fixture.tensors, centering === 'sinkhorn' ? 'sinkhorn.t0' : 'probs.1')
    const padded = { ...logits, shape: [rows, ...logits.shape.slice(1)] }
    const module = lossModule(
      padded,
      rows,
      (entry, z, t) =>
        ibot(entry.b, z, t, entry.input('weights', f32(rows), { kind: 'mask_weights' }), maskedRows(entry), {
          studentTemp: temp,
          scale: 1 / crops,
        }).value,
      'masked_rows',
    )
    const run = await load(device, module, () => undefined)
    const width = logits.shape[1] as number
    await run.run({
      logits: pad(logits.data, rows * width),
      targets: pad(probs.data, rows * width),
      weights: pad(get(fixture.tensors, 'masks_weight').data, rows),
      masked_rows: [masked],
    })
    await checkLoss(fixture, report, run, `loss.${centering}`, `grad.student.${centering}`)
    const same = fixture.tensors.get(`loss.${centering}.no_weight`)
    if (same !== undefined) report.tensor(same, await run.output('loss'))
    await run.close()
  }
}

/** 07: KoLeo on one set, and, where the fixture has it, on the two halves of a batch as two crops. */
export async function checkKoleoLoss(fixture: Fixture, device: Device, report: Report): Promise<void> {
  const x = get(fixture.tensors, 'x')
  const [rows, width] = sizes(x, 0, 1) as [number, number]
  const recorded = [...fixture.tensors.values()].filter(({ role }) => role === 'expected')
  for (const { prefix, set } of [
    { prefix: '', set: rows },
    { prefix: 'halves.', set: rows / 2 },
  ]) {
    const expected = recorded.filter(({ name }) => name.startsWith('halves.') === (prefix !== ''))
    if (expected.length === 0) continue
    if (!Number.isInteger(set)) throw new FixtureError(`a batch of ${rows} has no halves`)
    const inputs: Inputs = new Map()
    const functions: Record<string, Func> = {}
    const entry = openEntry('forward', inputs, functions)
    const input = entry.input('x', f32(rows, width), { kind: 'images' })
    const [loss, nearest] = koleo(entry.b, input, set, 1 / set)
    entry.sink('output', 'loss', loss)
    entry.sink('output', 'nearest', nearest)
    const [gradient] = entry.b.op('grad', [loss, input], { seed: 1 })
    entry.sink('output', 'grad.x', gradient as ValueId)
    entry.finish()
    const run = await load(device, moduleOf('koleo', functions, inputs, []), () => undefined)
    await run.run({ x: x.data })
    const found = await run.output('nearest')
    const outputs: Record<string, Data> = {
      loss: await run.output('loss'),
      loss_sum: await run.output('loss'),
      nearest: found,
      'grad.x': await run.output('grad.x'),
      distances: distances(x, found),
    }
    for (const tensor of expected) report.tensor(tensor, outputs[tensor.name.slice(prefix.length)] ?? [])
    await run.close()
  }
}

/** What the device's neighbours come to: the op returns only their logarithms' sum. */
function distances(x: FixtureTensor, nearest: Data): number[] {
  const [rows, width] = sizes(x, 0, 1) as [number, number]
  const eps = 1e-8
  const row = (i: number) => Array.from({ length: width }, (_, k) => x.data[i * width + k] as number)
  const unit = Array.from({ length: rows }, (_, i) => {
    const norm = Math.max(Math.hypot(...row(i)), eps)
    return row(i).map((v) => v / norm)
  })
  return unit.map((a, i) => {
    const b = unit[nearest[i] as number] as number[]
    return Math.hypot(...a.map((v, k) => v - (b[k] as number) + eps))
  })
}

interface LossShape {
  readonly on: 'cls' | 'masked_patches'
  readonly rows: number
  readonly prototypes: number
  readonly teacherTemp: number
  readonly centerMomentum: number
  /** Real rows, where the others are room. */
  readonly masked?: number
}

/** `sinkhorn.*` each on its own; `probs.k` and `center.k` as the sequence of a training run. */
async function checkTargets(
  fixture: Fixture,
  device: Device,
  report: Report,
  shape: LossShape,
): Promise<void> {
  const { rows, prototypes } = shape
  const real = (shape.masked ?? rows) * prototypes
  const feed = (name: string) => ({
    z: pad(get(fixture.tensors, `teacher.${name}`).data, rows * prototypes),
    teacher_temp: [shape.teacherTemp],
    ...(shape.masked !== undefined && { masked_rows: [shape.masked] }),
  })
  for (const tensor of fixture.tensors.values()) {
    const found = /^sinkhorn\.(t\d+)(?:\.iterations(\d+))?$/.exec(tensor.name)
    if (found === null) continue
    const iterations = Number(found[2] ?? fixture.config.sinkhorn_iterations ?? 3)
    const module = targetModule(shape, { type: 'sinkhorn', iterations })
    const run = await load(device, module, () => undefined)
    await run.run(feed(found[1] as string))
    report.tensor(tensor, (await run.output('targets')).slice(0, real))
    await run.close()
  }

  const run = await load(
    device,
    targetModule(shape, { type: 'softmax', momentum: shape.centerMomentum }),
    () => undefined,
  )
  for (let k = 0; fixture.tensors.has(`teacher.t${k}`) || fixture.tensors.has(`center.${k}`); k++) {
    const center = fixture.tensors.get(`center.${k}`)
    if (center !== undefined) report.tensor(center, await run.state.read(centerName('loss')))
    if (!fixture.tensors.has(`teacher.t${k}`)) break
    await run.run(feed(`t${k}`))
    const probs = fixture.tensors.get(`probs.${k}`)
    if (probs !== undefined) report.tensor(probs, (await run.output('targets')).slice(0, real))
  }
  await run.close()
}

/** Teacher logits in, targets out; a center moves after each run. */
function targetModule(shape: LossShape, centering: Centering): Module {
  const { rows, prototypes, on } = shape
  const inputs: Inputs = new Map()
  const functions: Record<string, Func> = {}
  const a = openEntry('accumulate', inputs, functions)
  const bound = on === 'masked_patches' ? { rows: 'masked_rows' } : {}
  const z = a.input('z', { dtype: 'f32', shape: [rows, prototypes], ...bound }, { kind: 'images' })
  const temp = a.input('teacher_temp', f32(), { kind: 'schedule', name: 'teacher_temp' })
  const real = on === 'masked_patches' ? maskedRows(a) : null
  const centered = centering.type === 'softmax'
  const center = centered ? a.state(centerName('loss'), f32(prototypes)) : null
  a.sink('output', 'targets', teacherTargets(a.b, z, temp, centering, center, real))
  const target = {
    objective: {
      name: 'loss',
      prototypes,
      span: null,
      loss: {
        type: on === 'cls' ? 'dino' : 'ibot',
        on,
        head: 'loss',
        weight: 1,
        studentTemp: 0.1,
        centering,
      } as ComparedObjective['loss'],
    },
    batchCenter: centered ? batchCenter(a.b, z, real) : null,
  }
  handOverCenter(a, 1, target)
  a.finish()
  const u = openEntry('update', inputs, functions)
  const again = u.input('teacher_temp', f32(), { kind: 'schedule', name: 'teacher_temp' })
  const fine = u.b.one('finite', [again], {})
  moveCenter(u, { ranks: 1, wholeBatch: false }, target, fine)
  u.finish()
  const state: StateTensor[] = centered
    ? [
        {
          name: centerName('loss'),
          type: f32(prototypes),
          storedShape: [1, prototypes],
          role: 'center',
          init: { kind: 'zeros' },
        },
      ]
    : []
  const module = moduleOf('targets', functions, inputs, state)
  return { ...module, entries: centered ? ['accumulate', 'update'] : ['accumulate'] }
}

/** Student logits and targets in; `loss` and its gradient out. */
function lossModule(
  logits: FixtureTensor,
  targetRows: number,
  lower: (entry: Entry, logits: ValueId, t: ValueId) => ValueId,
  rows?: string,
): Module {
  const inputs: Inputs = new Map()
  const functions: Record<string, Func> = {}
  const entry = openEntry('forward', inputs, functions)
  const [count, prototypes] = sizes(logits, 0, 1) as [number, number]
  const bound = rows === undefined ? {} : { rows }
  const z = entry.input('logits', { dtype: 'f32', shape: [count, prototypes], ...bound }, { kind: 'images' })
  const t = entry.input(
    'targets',
    { dtype: 'f32', shape: [targetRows, prototypes], ...bound },
    { kind: 'images' },
  )
  const loss = lower(entry, z, t)
  entry.sink('output', 'loss', loss)
  const [gradient] = entry.b.op('grad', [loss, z], { seed: 1 })
  entry.sink('output', 'gradient', gradient as ValueId)
  entry.finish()
  return moduleOf('loss', functions, inputs, [])
}

function moduleOf(
  name: string,
  functions: Record<string, Func>,
  inputs: Inputs,
  state: readonly StateTensor[],
): Module {
  return {
    name: `golden/${name}`,
    functions,
    entries: ['forward'],
    state,
    inputs: [...inputs.values()],
    microSteps: 1,
  }
}

async function checkLoss(
  fixture: Fixture,
  report: Report,
  run: Loaded,
  loss: string,
  gradient: string,
): Promise<void> {
  const expected = fixture.tensors.get(loss)
  if (expected !== undefined) report.tensor(expected, await run.output('loss'))
  const slope = fixture.tensors.get(gradient)
  if (slope !== undefined) report.tensor(slope, (await run.output('gradient')).slice(0, slope.data.length))
}

/** Zeros behind the data: what stands beyond the real rows must not matter. */
function pad(data: Data, length: number): Float32Array {
  const out = new Float32Array(length)
  out.set(Array.from(data))
  return out
}

function swapHalves(data: Data): number[] {
  const half = data.length / 2
  return Array.from(data, (_, i) => data[(i + half) % data.length] as number)
}
