import fs from 'node:fs/promises'
import { diagnose } from '../diagnostics/catalogue.js'
import type { Diagnostic } from '../diagnostics/diagnostic.js'
import { readEvalFile } from './eval/eval-file.js'
import { splitLog } from './metrics-log.js'
import { identityIn, type RunFiles, recordFault } from './run-directory.js'

/** DINO1053 for each file of results that is there and does not hold what a run writes, and what becomes of it. */
export async function damagedFiles(files: RunFiles): Promise<Diagnostic[]> {
  const found: Diagnostic[] = []
  const fault = await recordFault(files)
  if (fault !== null)
    found.push(
      diagnose('DINO1053', null, {
        path: files.record,
        what: `${fault}; \`run\` ${(await identityIn(files)) === null ? 'begins it anew' : 'goes on from the newest checkpoint'}`,
      }),
    )
  for (const path of [files.metrics, files.health]) {
    const { bad } = splitLog(await textOf(path))
    if (bad === 0) continue
    const lines = bad === 1 ? '1 line is' : `${bad} lines are`
    found.push(diagnose('DINO1053', null, { path, what: `${lines} none of a run's and left out` }))
  }
  if ((await textOf(files.evaluation)) !== '' && (await readEvalFile(files.evaluation)) === null)
    found.push(
      diagnose('DINO1053', null, {
        path: files.evaluation,
        what: 'it holds no results; `run` measures them again',
      }),
    )
  return found
}

function textOf(path: string): Promise<string> {
  return fs.readFile(path, 'utf8').catch(() => '')
}
