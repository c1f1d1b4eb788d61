import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { collectRuns } from '../../cli/report/collect.js'
import { reportModel } from '../../cli/report/model.js'
import { writeReport } from '../../cli/report.js'
import { labelsOf, palette } from '../../compiler/codegen/charts.js'
import {
  galleryOf,
  halfTrained,
  hostile,
  type MadeRun,
  pixelsCorrect,
  usual,
  wellTrained,
  writeRun,
} from './runs.js'

const made: string[] = []
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true })
})

function directoryOf(runs: readonly MadeRun[]): string {
  const directory = mkdtempSync(join(os.tmpdir(), 'dinoc-report-'))
  made.push(directory)
  for (const [i, run] of runs.entries()) writeRun(directory, run, i)
  return directory
}

const modelOf = async (runs: readonly MadeRun[]) => reportModel(await collectRuns(directoryOf(runs)), [])

const pageOf = async (runs: readonly MadeRun[]) => readFileSync(await writeReport(directoryOf(runs)), 'utf8')

test('how to make it again is what was typed for the runs, each command once; unknown ones are not made up', async () => {
  const commands = ['dinoc run a.dino', 'dinoc run a.dino', "dinoc run a.dino --set 'crops.local.count=0'"]
  const runs = commands.map((command, seed) => ({ seed, correct: null, command }))
  expect((await modelOf(runs)).commands).toEqual([...new Set(commands)])
  expect(await pageOf(runs)).toContain('Again: <code>dinoc run a.dino</code>')
  expect(await pageOf(usual)).not.toContain('Again:')
})

test('labels of a chart show where long names differ', () => {
  const grid = [1, 2].map((i) => `a_long_grid_name[loss.koleo.weight=0.${i},backbone.depth=12]`)
  expect(labelsOf(['full', ...grid])).toEqual([['full'], ['….weight=0.1,backbo…'], ['….weight=0.2,backbo…']])
  expect(labelsOf(['full', grid[0]!])).toEqual([['full'], ['a_long_gr….depth=12]']])
  expect(labelsOf([10, 12].map((i) => `grid[backbone.depth=${i}]`))).toEqual([
    ['…[backbone.depth=10]'],
    ['…[backbone.depth=12]'],
  ])
  const values = ['10%..50%', '20%..30%'].flatMap((r) => ['30%', '50%'].map((p) => [p, r]))
  const shown = labelsOf(values.map(([p, r]) => `masks[masking.probability=${p},masking.ratio=${r}]`))
  expect(shown.every(([line], i) => values[i]!.every((value) => line!.includes(value)))).toBe(true)
})

test('the usual report: findings, table, differences, costs, curves, pictures', async () => {
  const model = await modelOf(usual)
  expect(model.findings).toHaveLength(3)
  expect(model.findings[0]).toMatch(
    /^Trained, full reaches 0\.762 on knn\.top1@1, its untrained backbone 0\.050: a gain of 0\.71/,
  )
  expect(model.findings[2]).toMatch(
    /^no_koleo is worse than full by 0\.512 \(difference -0\.512, 95\u00a0% interval -/,
  )
  expect(model.metric!.rows.map(({ name, value, verdict }) => [name, value, verdict])).toEqual([
    ['untrained', '0.050', null],
    ['full', '0.762', null],
    ['no_koleo', '0.250', 'worse'],
    ['raw pixels', '0.500', null],
  ])
  expect(model.metric!.figures).toHaveLength(2)
  const cost = model.plain.at(-1)!
  expect(cost.rows[0]!.cells[cost.columns.indexOf('images/s')]).toBe('120')
  expect(cost.rows[0]!.cells[cost.columns.indexOf('process peak')]).toBe('286 MiB')
  expect(model.training!.legend.map(({ name }) => name)).toEqual(['full', 'no_koleo'])
  expect(model.training!.curves.map(({ title }) => title)).toEqual([
    'loss: total',
    'loss: ibot',
    'loss: koleo',
  ])
  expect(model.health!.curves.map(({ title }) => title)).toEqual([
    'entropy of the dino targets, nats',
    'prototypes that the dino targets use',
    'effective rank of the features',
    'spread of the features',
  ])
  expect(model.health!.curves[2]!.alt).toContain('full: from 9.000 to 30.00')
  expect(model.gallery!.maps!.strips.map(({ name }) => name)).toEqual(['image', 'untrained', 'full'])
  expect(model.notices).toEqual([])
})

test('pixels that do as well as the features are neither beaten nor out of reach', async () => {
  const tie = await modelOf([{ correct: pixelsCorrect }])
  expect(tie.findings[1]).toBe(
    'Comparing small pictures pixel by pixel gives 0.500, from which the features cannot be told apart with these images and seeds.',
  )
  const beaten = await modelOf([{ correct: '1'.repeat(40) }])
  expect(beaten.findings[1]).toMatch(
    /0\.500, which the features beat by 0\.500 \(95\u00a0% interval 0\.\d+ to 0\.\d+\)\.$/,
  )
  const missed = await modelOf([{ correct: '0'.repeat(40) }])
  expect(missed.findings[1]).toMatch(/which the features do not reach: they miss it by 0\.500 \(/)
})

test('the caption of feature maps says how many variants are not shown', async () => {
  const runs = (count: number) =>
    Array.from({ length: count }, (_, i) => ({
      ...{ variant: i === 0 ? 'full' : `v${i}`, correct: wellTrained, gallery: galleryOf('cat') },
    }))
  expect((await modelOf(runs(5))).gallery!.maps!.caption).not.toContain('not shown')
  const { caption, strips } = (await modelOf(runs(8))).gallery!.maps!
  expect(strips).toHaveLength(2 + 5)
  expect(caption).toMatch(/ 3 more variants are not shown\.$/)
})

test('one variant is compared with its untrained backbone alone', async () => {
  const model = await modelOf([{ correct: wellTrained }])
  expect(model.findings).toHaveLength(2)
  expect(model.metric!.figures).toHaveLength(1)
  expect(model.gallery).toBeNull()
})

test('without evaluations the page says so and shows the losses', async () => {
  const model = await modelOf([{}])
  expect(model.findings).toEqual([
    'Nothing was evaluated: the experiment has no eval block, so the loss is all there is to see.',
  ])
  expect([model.metric, model.training!.curves.length, model.health!.curves.length]).toEqual([null, 3, 2])
  expect(await pageOf([{}])).toContain('Nothing was evaluated')
})

test('interrupted, failed and empty runs are named', async () => {
  const failure = { code: 'DINO1007', severity: 'error', message: 'non-finite loss', notes: [] } as never
  const model = await modelOf([
    { correct: wellTrained },
    { seed: 1, correct: null, record: { status: 'interrupted', step: 5 } },
    { variant: 'b', record: { status: 'failed', step: 3, failure }, losses: [] },
  ])
  expect(model.notices).toEqual([
    {
      level: 'warning',
      who: 'full seed 1',
      text: 'is not finished: step 5 of 12. The command at the end of this page goes on from there.',
    },
    { level: 'error', who: 'b seed 0', text: 'DINO1007: non-finite loss. Stopped at step 3 of 0.' },
  ])
  expect(model.metric!.rows.map(({ name }) => name)).toEqual(['untrained', 'full', 'raw pixels'])
})

test('costs say how far runs came that stopped before their end', async () => {
  const model = await modelOf([
    { correct: wellTrained },
    { variant: 'b', record: { status: 'failed', step: 1 } },
    { variant: 'c', record: { status: 'interrupted', step: 5 } },
    { variant: 'c', seed: 1 },
  ])
  const cost = model.plain.at(-1)!
  const steps = cost.rows.map(({ name, cells }) => [name, cells[cost.columns.indexOf('steps')]])
  expect(steps).toEqual([
    ['full', '12'],
    ['b', '1 of 12'],
    ['c', '5 to 12 of 12'],
  ])
})

test('notices set what diagnostics quote as code, and as text', async () => {
  const message = `non-finite loss \`ibot\` of \`${hostile}\``
  const failure = { code: 'DINO1007', severity: 'error', message, notes: [] } as never
  const page = await pageOf([{ record: { status: 'failed', step: 3, failure } }])
  expect(page).toContain('non-finite loss <code>ibot</code> of <code>&lt;img src')
  expect(page).not.toContain('<script')
})

test('losses that are not numbers leave gaps, not faults', async () => {
  const losses = [{ total: 9 }, { total: null }, { total: 8 }, { total: 7 }]
  const page = await pageOf([{ correct: wellTrained, losses }])
  expect(page).not.toMatch(/NaN|undefined|Infinity/)
})

test('names are text, whatever they hold', async () => {
  const page = await pageOf([
    { correct: wellTrained, gallery: galleryOf(hostile), name: hostile },
    { variant: hostile, correct: halfTrained },
  ])
  expect(page).not.toContain('<script')
  expect(page).not.toContain('<img src=x')
  expect(page).not.toMatch(/<[^>]*\sonerror=/)
  expect(page).toContain('&lt;img src')
})

test('a large grid: colours for those that differ most, one for the rest, few sentences', async () => {
  const grid = Array.from({ length: 19 }, (_, i) => ({
    variant: `grid[weight=${i},depth=12]`,
    correct: i % 10 === 3 ? halfTrained : wellTrained,
  }))
  const model = await modelOf([{ correct: wellTrained }, ...grid])
  const { legend } = model.training!
  expect(legend).toHaveLength(palette.length + 1)
  expect(new Set(legend.map(({ colour }) => colour)).size).toBe(legend.length)
  expect(legend.map(({ name }) => name)).toEqual(expect.arrayContaining(['full', 'grid[weight=13,depth=12]']))
  expect(legend.at(-1)!.name).toBe('13 others, which differ less from full')
  expect(model.findings.length).toBeLessThan(10)
  expect(model.metric!.rows).toHaveLength(22)
  for (const { alt } of model.training!.curves) expect(alt.length).toBeLessThan(600)
})
