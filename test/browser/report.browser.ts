import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeReport } from '../../cli/report.js'
import type { EvalFile } from '../../runtime/eval/eval-file.js'
import {
  galleryOf,
  halfTrained,
  hostile,
  type MadeRun,
  usual,
  wellTrained,
  writeRun,
} from '../codegen/runs.js'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const missing = !existsSync(executablePath)
if (missing)
  console.warn(`skipped: no browser at ${executablePath}; install chromium or set CHROMIUM to its path`)

const reports: Readonly<Record<string, readonly MadeRun[]>> = {
  usual,
  hostile: [
    { correct: wellTrained, gallery: galleryOf(hostile), name: hostile },
    { variant: hostile, correct: halfTrained },
  ],
  grid: Array.from({ length: 50 }, (_, i) => ({
    variant: i === 0 ? 'full' : `a_long_grid_name[loss.koleo.weight=${i},backbone.depth=12]`,
    correct: i % 10 === 3 ? halfTrained : wellTrained,
  })),
  'not evaluated': [{}],
}

describe.skipIf(missing)('a report in Chromium', () => {
  let browser: Browser
  let directory: string
  const paths = new Map<string, string>()
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
    directory = mkdtempSync(join(os.tmpdir(), 'dinoc-browser-'))
    for (const [name, runs] of Object.entries(reports)) {
      for (const [i, run] of runs.entries()) writeRun(join(directory, name), run, i)
      paths.set(name, await writeReport(join(directory, name)))
    }
  })
  afterAll(async () => {
    await browser.close()
    rmSync(directory, { recursive: true, force: true })
  })

  async function open(name: string, width: number) {
    const page = await browser.newPage({ viewport: { width, height: 900 } })
    const url = pathToFileURL(paths.get(name)!).href
    const said: string[] = []
    const asked: string[] = []
    page.on('console', (message) => said.push(message.text()))
    page.on('pageerror', (error) => said.push(error.message))
    page.on('dialog', (dialog) => said.push(dialog.message()))
    page.on('request', (request) => {
      if (request.url() !== url && !request.url().startsWith('data:')) asked.push(request.url())
    })
    await page.goto(url, { waitUntil: 'networkidle' })
    return { page, said, asked }
  }

  for (const name of Object.keys(reports))
    for (const width of [1280, 400])
      test(`${name} at ${width} px`, async () => {
        const { page, said, asked } = await open(name, width)
        expect(said).toEqual([])
        expect(asked).toEqual([])
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
        // Whatever is wider than the page scrolls in a box of its own, and charts fit.
        expect(await page.evaluate(sticksOut)).toEqual([])
        expect(await page.evaluate(nameless)).toEqual([])
        expect(await page.evaluate(cutOff)).toEqual([])
        await page.close()
      })

  test('the table has the numbers of eval.json', async () => {
    const { page } = await open('usual', 1280)
    const rows = (await page.evaluate(tableRows)) as [string, string][]
    const share = (run: number, seed: number) => {
      const path = join(directory, 'usual', `v${run}`, `seed-${seed}`, 'eval.json')
      return (JSON.parse(readFileSync(path, 'utf8')) as EvalFile).evaluations.knn!
    }
    const mean = (a: number, b: number) => ((a + b) / 2).toFixed(3)
    const top = (m: { metrics: Readonly<Record<string, number>> } | null) => m!.metrics['top1@1']!
    expect(Object.fromEntries(rows)).toEqual({
      untrained: top(share(0, 0).untrained).toFixed(3),
      full: mean(top(share(0, 0).trained), top(share(1, 1).trained)),
      no_koleo: mean(top(share(2, 0).trained), top(share(3, 1).trained)),
      'raw pixels': top(share(0, 0).rawPixels).toFixed(3),
    })
    await page.close()
  })
})

// Run in the page, as text: the types of a browser are not those of the tests.
const sticksOut = `[...document.querySelectorAll('main *')]
  .filter((e) => !e.closest('.scroll') || e.classList.contains('scroll'))
  .filter((e) => !e.closest('svg') && !e.classList.contains('hidden'))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
  .map((e) => e.outerHTML.slice(0, 80))`

/** Verdicts that one would have to scroll to, and labels that a chart cuts. */
const cutOff = `[
  ...[...document.querySelectorAll('.verdict')].filter((e) => e.getBoundingClientRect().right > innerWidth),
  ...[...document.querySelectorAll('svg text')].filter((e) => {
    const [text, chart] = [e, e.closest('svg')].map((one) => one.getBoundingClientRect())
    return text.left < chart.left - 1 || text.right > chart.right + 1
  }),
].map((e) => e.outerHTML.slice(0, 80))`

const nameless = `[
  ...[...document.querySelectorAll('img')].filter((e) => !e.alt.trim()),
  ...[...document.querySelectorAll('[role=img], [role=region]')].filter((e) => !(e.getAttribute('aria-label') ?? '').trim()),
  ...[...document.querySelectorAll('figure')].filter((e) => !e.querySelector('figcaption')?.textContent.trim()),
  ...[...document.querySelectorAll('svg')].filter((e) => !e.closest('[role=img]')),
].map((e) => e.outerHTML.slice(0, 80))`

const tableRows = `[...document.querySelectorAll('table.metric tbody tr')].map((row) => [
  row.querySelector('th').textContent, row.querySelector('.value').textContent,
])`
