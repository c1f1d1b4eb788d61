import { expect, test } from 'vitest'
import { imageReports } from '../../cli/terminal/image-reports.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import type { RunEvent } from '../../runtime/events.js'

const unreadable = (path: string): RunEvent => ({
  type: 'diagnostic',
  diagnostic: diagnose('DINO1022', null, { path, reason: 'cut short' }),
})
const checkpoint: RunEvent = { type: 'checkpoint', step: 0, bytes: 1, seconds: 1 }
const outcome = {
  status: 'finished',
  step: 1,
  steps: 1,
  seconds: 1,
  imagesPerSecond: 1,
  peakRssBytes: 1,
} as const
const done: RunEvent = { type: 'done', outcome: { ...outcome, failure: null } }

test('many unreadable images are a few, and a number', () => {
  const reports = imageReports()
  const told: string[] = []
  const tell = (event: RunEvent, names = 'a/log.jsonl') => {
    for (const d of reports(event, names)) told.push(`${d.code} ${d.message} ${d.help.join()}`.trim())
  }
  for (let i = 0; i < 30; i++) tell(unreadable(`${i}.jpg`))
  tell(checkpoint)
  tell(checkpoint)
  const first = [0, 1, 2].map(
    (i) => `DINO1022 cannot read image ${i}.jpg: cut short; it is left out of the evaluation`,
  )
  const summed = 'DINO1049 27 more images cannot be read: 30 so far a/log.jsonl names each of them'
  expect(told).toEqual([...first, summed])
  // A trickle is not told one by one either; another run that meets the same images adds none.
  tell(unreadable('30.jpg'))
  tell(checkpoint)
  tell(unreadable('3.jpg'), 'b/log.jsonl')
  tell(done)
  expect(told.slice(4)).toEqual([
    'DINO1049 1 more image cannot be read: 31 so far a/log.jsonl names each of them',
  ])
})

test('anything else is told as it comes, and after what came before it', () => {
  const reports = imageReports()
  const failure = diagnose('DINO1007', null, { unreadable: 9, read: 9, what: 'images', percent: 10 })
  for (let i = 0; i < 9; i++) reports(unreadable(`${i}.jpg`), '')
  const last = reports({ type: 'done', outcome: { ...outcome, status: 'failed', failure } }, '')
  expect(last.map((d) => d.code)).toEqual(['DINO1049', 'DINO1007'])
})

test('what an evaluation left out and training replaced is told both times, an image counted once', () => {
  const reports = imageReports()
  const replaced = (path: string): RunEvent => ({
    type: 'diagnostic',
    diagnostic: diagnose('DINO1017', null, { path, reason: 'cut short' }),
  })
  const told: string[] = []
  for (let i = 0; i < 5; i++) for (const d of reports(unreadable(`${i}.jpg`), 'log')) told.push(d.code)
  for (let i = 0; i < 5; i++) for (const d of reports(replaced(`${i}.jpg`), 'log')) told.push(d.code)
  for (const d of reports(done, 'log')) told.push(d.message)
  expect(told).toEqual([
    ...['DINO1022', 'DINO1022', 'DINO1022', 'DINO1017', 'DINO1017', 'DINO1017'],
    '2 more images cannot be read: 5 so far',
  ])
})

test('labels that are missing are told once, whichever runs meet it', () => {
  const reports = imageReports()
  const note = (reference: string): RunEvent => ({
    type: 'diagnostic',
    diagnostic: diagnose('DINO1015', null, { reference, without: 2, of: 9 }),
  })
  const told = ['a.train', 'a.test', 'a.train', 'a.test'].flatMap((one) => reports(note(one), 'log'))
  expect(told.map((d) => d.message)).toEqual([
    '`a.train`: 2 of 9 images have no label and stay out of labelled evaluations',
    '`a.test`: 2 of 9 images have no label and stay out of labelled evaluations',
  ])
})
