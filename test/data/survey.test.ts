import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { DataReference, Source } from '../../compiler/plan/run-spec.js'
import { type DataNeeds, surveyData } from '../../runtime/data/survey.js'
import { folderSource } from './small-run.js'

const base = mkdtempSync(join(tmpdir(), 'dinoc-survey-'))
beforeAll(() => {
  const write = (path: string) => {
    mkdirSync(dirname(join(base, path)), { recursive: true })
    writeFileSync(join(base, path), path)
  }
  for (const path of [
    'whole/0/a.png',
    'whole/1/b.png',
    'flat/a.png',
    'flat/b.png',
    'holed/0/a.png',
    'file.txt',
  ])
    write(path)
  mkdirSync(join(base, 'holed/1'))
})

const of = (source: string, splits: string[] | null = null): DataReference => ({
  kind: 'source',
  source,
  splits,
})

function survey(
  sources: Record<string, Partial<Source>>,
  train: DataReference,
  test: DataReference,
  evaluations = ['knn'],
  k = [1],
) {
  const needs = {
    data: {
      train,
      sources: Object.fromEntries(
        Object.entries(sources).map(([name, s]) => [name, { ...folderSource(join(base, name)), ...s }]),
      ),
    },
    channels: 3,
    provenance: {
      'data.train': 'a.dino:1:1-5',
      'eval.knn.test': 'a.dino:2:1-5',
      'sources.holed': 'a.dino:3:1-5',
      'eval.knn.k': 'a.dino:4:1-5',
      'sources.listed.labels': 'a.dino:5:1-5',
    },
    evaluations: evaluations.map((type) => ({ name: type, protocol: { type, train: null, test, k } })),
  } as unknown as DataNeeds
  const { trainingImages, faults, warnings } = surveyData(needs)
  return [
    trainingImages,
    ...[...faults, ...warnings].map((d) => `${d.code} ${d.primary?.span.startLine ?? '-'}`),
  ]
}

describe('a survey of the data', () => {
  it('counts, and finds nothing wrong where nothing is', () => {
    expect(survey({ whole: {} }, of('whole'), of('whole'))).toEqual([2])
  })
  it('gives every fault, each once, at its place', () => {
    const mix: DataReference = {
      kind: 'mix',
      parts: [of('whole'), of('holed')].map((r) => ({ of: r, share: 1 })),
    }
    expect(survey({ whole: {}, holed: {}, gone: {} }, mix, of('holed'))).toEqual([null, 'DINO1003 3'])
    expect(survey({ holed: {}, gone: {} }, of('gone'), of('holed'), ['knn', 'linear'])).toEqual([
      null,
      'DINO1001 -',
      'DINO1003 3',
    ])
    expect(survey({ whole: {} }, of('whole', ['test']), of('whole', ['val']))).toEqual([
      null,
      'DINO1011 1',
      'DINO1011 2',
    ])
  })
  it('tells that an evaluation has no labels to work with, where it needs them', () => {
    expect(survey({ whole: {}, flat: {} }, of('whole'), of('flat'), ['knn', 'retrieval'])).toEqual([
      2,
      'DINO1014 2',
    ])
  })
  it('warns where k-NN has fewer images to learn from than it asks for (DINO1025)', () => {
    expect(survey({ whole: {} }, of('whole'), of('whole'), ['knn'], [1, 2])).toEqual([2])
    expect(survey({ whole: {} }, of('whole'), of('whole'), ['knn', 'linear'], [1, 3])).toEqual([
      2,
      'DINO1025 4',
    ])
  })
  it('counts the files of a label table that are not there, and names the first (DINO1024)', () => {
    const rows = ['a.png', 'b.png', ...Array.from({ length: 7 }, (_, i) => `gone/${i}.png`)]
    const table = join(base, 'table.csv')
    writeFileSync(table, ['image,class', ...rows.map((row, i) => `${row},${i % 2}`)].join('\n'))
    const path = join(base, 'flat')
    const labels = { table, nested: null, file: 'image', label: 'class' }
    expect(survey({ listed: { path, labels } }, of('listed'), of('listed'))).toEqual([2, 'DINO1024 5'])
    const { warnings } = surveyData({
      data: { train: of('listed'), sources: { listed: { ...folderSource(path), labels } } },
      ...{ channels: 3, provenance: {}, evaluations: [] },
    })
    expect(warnings.map((d) => [d.message, ...d.notes])).toEqual([
      [
        `source \`listed\`: 7 files that ${table} names are not there`,
        ...['gone/0.png', 'gone/1.png', 'gone/2.png', 'gone/3.png', 'gone/4.png', 'and 2 more'],
      ],
    ])
  })
  it('takes a file in place of a folder, and a colour that is none, for faults of the source', () => {
    expect(survey({ 'file.txt': {}, whole: {} }, of('file.txt'), of('whole'))).toEqual([null, 'DINO1004 -'])
    expect(survey({ whole: { background: 'mauve' } }, of('whole'), of('whole'))).toEqual([null, 'DINO1021 -'])
  })
})
