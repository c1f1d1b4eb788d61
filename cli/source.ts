import { readFileSync } from 'node:fs'
import { tooLarge } from '../compiler/resolve/modules.js'
import { DiagnosticError } from '../diagnostics/diagnostic.js'
import { UsageError } from './usage-error.js'

/** What diagnostics call standard input. */
export const standardInput = 'standard input'

/**
 * The text of a file that the command line names; `-` is standard input. What cannot be read is a usage error; DINO0231
 * where it is too large.
 */
export function readSource(file: string): string {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(file === '-' ? 0 : file)
  } catch (error) {
    const reason = {
      ENOENT: 'there is no such file',
      EISDIR: 'it is a folder',
      EACCES: 'it may not be read',
    }[(error as NodeJS.ErrnoException).code ?? '']
    throw new UsageError(`cannot read ${file}: ${reason ?? (error as Error).message}`)
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new UsageError(`cannot read ${file}: it is not UTF-8 text`, ['save it as UTF-8'])
  }
  const fault = tooLarge(file === '-' ? standardInput : file, text, null)
  if (fault !== null) throw new DiagnosticError([fault])
  return text
}
