import { describe, expect, it } from 'vitest'
import { summarize, timeInSteps } from '../../compiler/plan/times.js'

const clock = { epoch: { value: 1250, unit: 'step' }, passSteps: null } as const

describe('times in steps', () => {
  it('are known as far as the file goes', () => {
    expect(timeInSteps({ value: 80, unit: 'epoch' }, clock)).toBe(100_000)
    expect(timeInSteps({ value: 2, unit: 'pass' }, clock)).toBeNull()
    const passes = { epoch: { value: 1, unit: 'pass' }, passSteps: 93 } as const
    expect(timeInSteps({ value: 2, unit: 'epoch' }, passes)).toBe(186)
    expect(timeInSteps({ value: 2, unit: 'epoch' }, { epoch: null, passSteps: 93 })).toBeNull()
  })
})

describe('summaries of schedules', () => {
  const over = { value: 80, unit: 'epoch' } as const
  const lr = {
    pieces: [
      { kind: 'warmup', from: 0, to: 3.5e-4, over },
      { kind: 'cosine', from: 3.5e-4, to: 1e-6, over: null },
    ],
  } as const

  it('hold both ends and the peak with its step', () => {
    expect(summarize({ schedule: lr, compress: null }, clock)).toEqual({
      first: 0,
      peak: 3.5e-4,
      peakAt: 100_000,
      last: 1e-6,
    })
  })

  it('are compressed with their schedule', () => {
    const compress = { from: { value: 500, unit: 'epoch' }, to: { value: 10_000, unit: 'step' } } as const
    expect(summarize({ schedule: lr, compress }, clock).peakAt).toBe(1600)
  })

  it('do not know the step of a peak that lies behind a time in passes', () => {
    const pieces = [{ ...lr.pieces[0], over: { value: 1, unit: 'pass' } as const }, lr.pieces[1]]
    expect(summarize({ schedule: { pieces }, compress: null }, clock)).toMatchObject({
      peak: 3.5e-4,
      peakAt: null,
    })
  })

  it('end with their phase', () => {
    const piece = (over: number) => ({ value: over, unit: 'step' }) as const
    const linear = { kind: 'linear', from: 0.04, to: 0.07, over: piece(8) } as const
    const cut = summarize({ schedule: { pieces: [linear] }, compress: null }, clock, 4)
    // As the run has it: 0.0400, 0.0443, 0.0486, 0.0529.
    expect(cut).toMatchObject({ first: 0.04, peakAt: 4 })
    expect(cut.last).toBeCloseTo(0.04 + (3 * 0.03) / 7, 12)
    expect(cut.peak).toBe(cut.last)
    const late = { kind: 'constant', value: 9, over: null } as const
    expect(summarize({ schedule: { pieces: [linear, late] }, compress: null }, clock, 4).last).toBe(cut.last)
  })
})
