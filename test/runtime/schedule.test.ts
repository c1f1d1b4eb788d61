import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Schedule, Time } from '../../compiler/plan/run-spec.js'
import { type Clock, curve, toSteps } from '../../runtime/schedule.js'

const steps = (value: number): Time => ({ value, unit: 'step' })
const clock: Clock = { epoch: steps(5), passSteps: 7 }
const plain = (schedule: Schedule) => ({ schedule, compress: null })
const values = (schedule: Schedule, length: number, compress: { from: Time; to: Time } | null = null) =>
  Array.from({ length }, (_, i) => curve({ schedule, compress }, length, clock)(i))

interface Fixture {
  config: {
    optim: Record<string, number>
    teacher: Record<string, number>
    epoch_length: number
  }
  schedules: Record<string, { total_iters: number; final_value: number; values: number[] }>
}
const fixture = JSON.parse(
  readFileSync(new URL('../golden/fixtures/09-schedules.json', import.meta.url), 'utf8'),
) as Fixture

describe('values per step', () => {
  const { optim, teacher } = fixture.config
  const epochs = (n: number): Time => ({ value: n, unit: 'epoch' })
  const written: Record<string, Schedule> = {
    lr: {
      pieces: [
        { kind: 'warmup', from: 0, to: optim.lr!, over: epochs(optim.warmup_epochs!) },
        { kind: 'cosine', from: optim.lr!, to: optim.min_lr!, over: null },
      ],
    },
    weight_decay: {
      pieces: [{ kind: 'cosine', from: optim.weight_decay!, to: optim.weight_decay_end!, over: null }],
    },
    teacher_momentum: {
      pieces: [
        { kind: 'cosine', from: teacher.momentum_teacher!, to: teacher.final_momentum_teacher!, over: null },
      ],
    },
    teacher_temp: {
      pieces: [
        {
          kind: 'linear',
          from: teacher.warmup_teacher_temp!,
          to: teacher.teacher_temp!,
          over: epochs(teacher.warmup_teacher_temp_epochs!),
        },
      ],
    },
  }
  it.each(Object.keys(written))('%s are the fixture’s', (name) => {
    const expected = fixture.schedules[name]!
    const at = curve(plain(written[name]!), 500, clock)
    for (const [i, value] of expected.values.entries())
      expect(Math.abs(at(i) - value)).toBeLessThanOrEqual(1e-9 * Math.abs(value))
    expect(at(expected.total_iters)).toBe(expected.final_value)
    expect(at(expected.total_iters + 1000)).toBe(expected.final_value)
  })
})

describe('pieces', () => {
  const warmCosine: Schedule = {
    pieces: [
      { kind: 'warmup', from: 0, to: 1, over: steps(5) },
      { kind: 'cosine', from: 1, to: 0, over: null },
    ],
  }
  it('take the rest of the phase where they have no length', () => {
    expect(values(warmCosine, 9)).toEqual([
      0,
      0.25,
      0.5,
      0.75,
      1,
      1,
      expect.closeTo(0.8536, 4),
      0.5,
      expect.closeTo(0.1464, 4),
    ])
    expect(values({ pieces: [{ kind: 'linear', from: 0, to: 3, over: null }] }, 4)).toEqual([0, 1, 2, 3])
    expect(values({ pieces: [{ kind: 'constant', value: 0.5, over: null }] }, 2)).toEqual([0.5, 0.5])
  })
  it('are cut at the end of the phase', () => {
    expect(values({ pieces: [{ kind: 'linear', from: 0, to: 10, over: steps(11) }] }, 3)).toEqual([0, 1, 2])
  })
  it('stay constant behind the last', () => {
    expect(values({ pieces: [{ kind: 'linear', from: 0, to: 1, over: steps(3) }] }, 6)).toEqual([
      0, 0.5, 1, 1, 1, 1,
    ])
    const held: Schedule = {
      pieces: [
        { kind: 'constant', value: 7, over: steps(2) },
        { kind: 'cosine', from: 1, to: 0, over: steps(2) },
      ],
    }
    expect(values(held, 6)).toEqual([7, 7, 1, 0.5, 0, 0])
  })
  it('of one step take their start', () => {
    expect(values({ pieces: [{ kind: 'warmup', from: 3, to: 4, over: steps(1) }] }, 2)).toEqual([3, 4])
  })
  it('are compressed by new over old length, rounded down, at least one step', () => {
    const compress = { from: steps(100), to: steps(10) }
    const long: Schedule = {
      pieces: [
        { kind: 'warmup', from: 0, to: 1, over: steps(39) },
        { kind: 'constant', value: 2, over: steps(4) },
        { kind: 'cosine', from: 1, to: 0, over: null },
      ],
    }
    // 39 -> 3.9 -> 3; 4 -> 0.4 -> 1; the rest, 6.
    expect(values(long, 10, compress).slice(0, 5)).toEqual([0, 0.5, 1, 2, 1])
    expect(values(long, 10, compress)[9]).toBeCloseTo(0.5 * (1 + Math.cos((Math.PI * 5) / 6)), 12)
  })
})

describe('times', () => {
  it('become steps', () => {
    expect(toSteps({ value: 3, unit: 'step' }, clock)).toBe(3)
    expect(toSteps({ value: 2, unit: 'epoch' }, clock)).toBe(10)
    expect(toSteps({ value: 2.5, unit: 'pass' }, clock)).toBe(17)
    expect(toSteps({ value: 3, unit: 'epoch' }, { epoch: { value: 2, unit: 'pass' }, passSteps: 7 })).toBe(42)
    expect(toSteps({ value: 0.1, unit: 'epoch' }, { epoch: steps(30), passSteps: null })).toBe(3)
  })
  it('say what they need', () => {
    const nothing: Clock = { epoch: null, passSteps: null }
    expect(() => toSteps({ value: 1, unit: 'epoch' }, nothing)).toThrow('DINO1016: a length in epoch needs')
    expect(() => toSteps({ value: 1, unit: 'pass' }, nothing)).toThrow(
      'DINO1016: a length in pass needs training data',
    )
    expect(() =>
      toSteps({ value: 1, unit: 'epoch' }, { ...nothing, epoch: { value: 1, unit: 'epoch' } }),
    ).toThrow('DINO1016')
  })
})
