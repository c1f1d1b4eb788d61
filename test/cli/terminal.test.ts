import pc from 'picocolors'
import { expect, test } from 'vitest'
import { failedLines, failedVariants } from '../../cli/terminal/failed-lines.js'
import { aligned, countdown, duration, rate } from '../../cli/terminal/figures.js'
import { foldEvent, plainLine, progressLines, type Row, waitingRow } from '../../cli/terminal/progress.js'
import { resultLines } from '../../cli/terminal/result-lines.js'
import { openLiveView, secondsLeft } from '../../cli/terminal/run-view.js'
import { cut, openScreen, visibleLength } from '../../cli/terminal/screen.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import type { RunEvent, TrainingLine } from '../../runtime/events.js'
import type { Job } from '../../runtime/job.js'

const csi = '\x1b'
const plain = pc.createColors(false)

/** Enough of a terminal to see what stands on it: cursor up, erase, newlines, wrapping at the right edge. */
function glass(columns: number) {
  let lines: string[] = ['']
  let row = 0
  let column = 0
  const listeners: (() => void)[] = []
  const written: string[] = []
  const state = { columns, rows: 12, isTTY: true }
  const put = (character: string): void => {
    if (column === state.columns) {
      row++
      column = 0
    }
    lines[row] ??= ''
    const text = lines[row]!.padEnd(column)
    lines[row] = text.slice(0, column) + character + text.slice(column + 1)
    column++
  }
  return {
    ...state,
    get columns() {
      return state.columns
    },
    get rows() {
      return state.rows
    },
    written,
    write(text: string) {
      written.push(text)
      for (let at = 0; at < text.length; ) {
        const sequence = text[at] === csi ? /^.\[(\??\d*)([A-Za-z])/.exec(text.slice(at)) : null
        if (sequence !== null) {
          const count = Number(sequence[1]) || 1
          if (sequence[2] === 'A') row = Math.max(0, row - count)
          if (sequence[2] === 'K') lines[row] = (lines[row] ?? '').slice(0, column)
          if (sequence[2] === 'J') {
            lines[row] = (lines[row] ?? '').slice(0, column)
            lines = lines.slice(0, row + 1)
          }
          at += sequence[0].length
          continue
        }
        if (text[at] === '\n') {
          row++
          column = 0
          lines[row] ??= ''
        } else if (text[at] === '\r') column = 0
        else put(text[at]!)
        at++
      }
    },
    on: (_: 'resize', listener: () => void) => void listeners.push(listener),
    off: () => {},
    /** As terminals do: whole lines are folded anew, the cursor stays behind the last one. */
    resize(to: number) {
      const folded = lines.flatMap((line) => {
        const parts: string[] = []
        for (let at = 0; at === 0 || at < line.length; at += to) parts.push(line.slice(at, at + to))
        return parts
      })
      lines = folded
      row = folded.length - 1
      state.columns = to
      for (const listener of listeners) listener()
    },
    shown: () => lines.map((line) => line.trimEnd()).filter((line) => line !== ''),
  }
}

test('a block is drawn over itself, lines above it stay', () => {
  const terminal = glass(40)
  const screen = openScreen(terminal)
  screen.draw(() => ['one', 'two'])
  screen.draw(() => ['one again', 'two'])
  screen.print('a warning\nof two lines')
  screen.draw(() => ['only one'])
  expect(terminal.shown()).toEqual(['a warning', 'of two lines', 'only one'])
})

test('lines are cut at the right edge and nothing is left behind after a resize', () => {
  const terminal = glass(40)
  const screen = openScreen(terminal)
  screen.draw(() => ['x'.repeat(60), 'short'])
  expect(terminal.shown()).toEqual([`${'x'.repeat(38)}…`, 'short'])
  terminal.resize(25)
  expect(terminal.shown()).toEqual([`${'x'.repeat(23)}…`, 'short'])
  terminal.resize(50)
  expect(terminal.shown()).toEqual([`${'x'.repeat(48)}…`, 'short'])
})

test('colours have no width and are closed where a line is cut', () => {
  const red = pc.createColors(true).red('warning')
  expect(visibleLength(red)).toBe(7)
  expect(cut(red, 4)).toBe('\x1b[31mwar…\x1b[0m')
})

const line = (step: number, seconds = 1): TrainingLine => ({
  ...{ step, phase: 'pretrain', grad_norm: {}, masked_rows: 0, lr: 0, weight_decay: 0, teacher_temp: 0 },
  loss: { dino_local: 4, dino_global: 0.41, koleo: 1.31, ibot: 1.72, total: 7.44 },
  ...{ momentum: 0, time: { clock: '', seconds } },
})
const stepEvent = (step: number): RunEvent => ({
  type: 'step',
  line: line(step),
  steps: 200,
  imagesPerSecond: 142,
})
const outcome = {
  step: 200,
  steps: 200,
  seconds: 47,
  imagesPerSecond: 142,
  peakRssBytes: 6.1e8,
  failure: null,
}

test('the table of a run, as the events fold into it', () => {
  let rows: Row[] = [waitingRow('full', 0), waitingRow('full', 1), waitingRow('no_koleo', 0)]
  rows = rows.map((row, i) => (i < 2 ? foldEvent(row, stepEvent(82), 32) : row))
  rows[0] = foldEvent(rows[0]!, { type: 'done', outcome: { status: 'finished', ...outcome } }, 32)
  expect(progressLines('quickstart   3 runs', rows, 20, plain)).toEqual([
    'quickstart   3 runs',
    '  full      seed 0  done      200/200   dino 4.41  koleo 1.31  ibot 1.72   142 img/s        47 s',
    '  full      seed 1  training   83/200   dino 4.41  koleo 1.31  ibot 1.72   142 img/s   0:26 left',
    '  no_koleo  seed 0  waiting',
    '^C once: checkpoint and stop · twice: stop now',
  ])
  expect(plainLine(rows[1]!)).toBe(
    'full  seed 1  training  step  83/200  dino 4.41  koleo 1.31  ibot 1.72  142 img/s  0:26 left',
  )
  // One done in 47 s, one with 26 s left, one that waits: 47/200 s a step, or 26/117.
  expect(secondsLeft(rows)).toBeGreaterThan(26 + 40)
  expect(secondsLeft(rows)).toBeLessThan(26 + 48)
})

test('a narrow terminal does without labels, then speed, then the terms of the loss; names keep both ends', () => {
  const long = 'masks[probability=30%,ratio=10%..50%]'
  const rows = [foldEvent(waitingRow('full', 0), stepEvent(82), 32), waitingRow(long, 1)]
  const at = (width: number) => progressLines('t', rows, 20, plain, width).slice(1, 3)
  expect(at(99)).toMatchInlineSnapshot(`
    [
      "  full                      0  training   83/200   dino 4.41  koleo 1.31  ibot 1.72      0:26 left",
      "  masks[proba…io=10%..50%]  1  waiting",
    ]
  `)
  expect(at(79)).toMatchInlineSnapshot(`
    [
      "  full                  0  training   83/200   loss 7.44      0:26 left",
      "  masks[pro…=10%..50%]  1  waiting",
    ]
  `)
  expect(at(59)).toMatchInlineSnapshot(`
    [
      "  full          0  training   83/200   loss 7.44      0:26 left",
      "  masks…..50%]  1  waiting",
    ]
  `)
})

test('more runs than lines: what is over is counted, what waits is cut', () => {
  const done = foldEvent(waitingRow('a', 0), { type: 'done', outcome: { status: 'finished', ...outcome } }, 1)
  const rows = [
    done,
    done,
    foldEvent(waitingRow('b', 0), stepEvent(3), 1),
    waitingRow('c', 0),
    waitingRow('d', 0),
  ]
  const lines = progressLines('t', rows, 6, plain)
  expect(lines.slice(2)).toEqual(['  c  seed 0  waiting', '  2 done', '  1 more waiting', lines.at(-1)])
})

test('the live view draws what happens and leaves warnings above', async () => {
  const terminal = glass(110)
  const jobs = [{ spec: { variant: 'full', seed: 0, batch: { images: 32 } } }] as unknown as Job[]
  const view = openLiveView(
    { jobs, title: 'quick', colors: plain, atOnce: 1, render: (d) => d.message },
    terminal,
  )
  view.event(0, stepEvent(1))
  view.diagnostic({ message: 'careful' } as never, 'full seed 0')
  view.event(0, { type: 'done', outcome: { status: 'finished', ...outcome } })
  view.close()
  terminal.written.length = 0
  await new Promise((resolve) => setTimeout(resolve, 150))
  expect(terminal.written).toEqual([])
  expect(terminal.shown()).toEqual([
    'full seed 0: careful',
    'quick',
    '  full  seed 0  done  step 200/200   dino 4.41  koleo 1.31  ibot 1.72   142 img/s   47 s',
  ])
})

test('figures', () => {
  expect([3, 99.6, 4000, 200_000].map(duration)).toEqual(['3 s', '2 min', '67 min', '2 d'])
  expect([28, 725, 11_040].map(countdown)).toEqual(['0:28', '12:05', '3:04:00'])
  expect([142.4, 9.31, 0.814, 99.7].map(rate)).toEqual(['142', '9.3', '0.81', '100'])
  expect(
    aligned(
      [
        ['a', '1'],
        ['bcd', '22'],
      ],
      [{ align: 'left' }, { align: 'right' }],
    ),
  ).toEqual([...['a     1', 'bcd  22']])
})

test('the result table', () => {
  const value = (mean: number, half: number) => ({
    ...{
      mean,
      interval: [mean - half, mean + half] as const,
      method: 'images' as const,
      seeds: 2,
      units: 545,
    },
  })
  const row = { imagesPerSecond: null, peakRssBytes: null, against: null }
  const table = {
    metric: 'knn.top1@1',
    base: 'full',
    floorDifference: null,
    rows: [
      {
        ...row,
        name: 'untrained',
        kind: 'untrained',
        value: value(0.068, 0.021),
        against: value(-0.103, 0.03),
      },
      {
        ...row,
        name: 'full',
        kind: 'variant',
        value: value(0.171, 0.031),
        imagesPerSecond: 142,
        peakRssBytes: 6.1e8,
      },
      { ...row, name: 'raw pixels', kind: 'floor', value: value(0.495, 0.042) },
    ],
  } as const
  expect(resultLines(table)).toEqual([
    '               top1@1           against full                    images/s      peak',
    '  untrained     0.068 ± 0.021         -0.103 [-0.133, -0.073]',
    '  full          0.171 ± 0.031                                        142   582 MiB',
    '  raw pixels    0.495 ± 0.042',
    '  95 % bootstrap over 545 images',
  ])
  expect(resultLines(table, 60)).toMatchInlineSnapshot(`
    [
      "               top1@1           against full",
      "  untrained     0.068 ± 0.021         -0.103",
      "  full          0.171 ± 0.031",
      "  raw pixels    0.495 ± 0.042",
      "  95 % bootstrap over 545 images",
    ]
  `)
  expect(resultLines(table, 40)).toMatchInlineSnapshot(`
    [
      "       top1@1           against full",
      "  untrained",
      "        0.068 ± 0.021         -0.103",
      "  full",
      "        0.171 ± 0.031",
      "  raw pixels",
      "        0.495 ± 0.042",
      "  95 % bootstrap over 545 images",
    ]
  `)
})

test('failed runs stand below the table, by variant', () => {
  const jobs = [
    ['full', 0],
    ['hot', 0],
    ['hot', 1],
    ['cold', 1],
  ].map(([variant, seed]) => ({ spec: { experiment: 'quick', variant, seed } }) as unknown as Job)
  const ended = { step: 1, steps: 1, seconds: 1, imagesPerSecond: 1, peakRssBytes: 1 }
  const fault = diagnose('DINO1013', null, { reason: 'gone' })
  const failed = { ...ended, status: 'failed', failure: fault } as const
  const found = failedVariants('quick', jobs, [
    { ...ended, status: 'finished', failure: null },
    ...[failed, failed, failed],
  ])
  expect(failedLines(found)).toEqual([
    '  hot    failed   seeds 0, 1   DINO1013',
    '  cold   failed   seed 1       DINO1013',
  ])
  expect(failedVariants('other', jobs, [])).toEqual([])
})

test('rows of a grid can be told apart, and keep speed and memory where there is room', () => {
  const value = (mean: number) => ({
    ...{ mean, interval: [mean - 0.03, mean + 0.03] as const },
    ...{ method: 'images' as const, seeds: 2, units: 545 },
  })
  const points = ['30%', '50%'].flatMap((p) =>
    ['10%..50%', '20%..30%'].map((r) => `masks[masking.probability=${p},masking.ratio=${r}]`),
  )
  const row = { imagesPerSecond: 142, peakRssBytes: 6.1e8, kind: 'variant' as const }
  const table = {
    ...{ metric: 'knn.top1@1', base: 'full', floorDifference: null },
    rows: [
      { ...row, name: 'full', value: value(0.17), against: null },
      ...points.map((name) => ({ ...row, name, value: value(0.15), against: value(-0.02) })),
    ],
  }
  const wide = resultLines(table)
  expect(Math.max(...wide.map((line) => line.length))).toBeLessThanOrEqual(100)
  expect(wide[0]).toMatch(/images\/s +peak$/)
  expect(wide.slice(2, 6).map((line) => line.trim().split('   ')[0])).toMatchInlineSnapshot(`
    [
      "…lity=30%…atio=10%..50%]",
      "…lity=30%…atio=20%..30%]",
      "…lity=50%…atio=10%..50%]",
      "…lity=50%…atio=20%..30%]",
    ]
  `)
  for (const width of [80, 60, 40]) {
    const lines = resultLines(table, width)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
    for (const r of ['10%..50%', '20%..30%']) expect(lines.filter((line) => line.includes(r))).toHaveLength(2)
  }
})
