import { DiagnosticError } from '../../diagnostics/diagnostic.js'

/** Runs what must be refused, and returns its faults as `CODE: message`. */
export function faultsOf(refused: () => unknown): readonly string[] {
  try {
    refused()
  } catch (error) {
    if (error instanceof DiagnosticError) return error.diagnostics.map((d) => `${d.code}: ${d.message}`)
    throw error
  }
  return []
}

/** The same for what is refused later. */
export async function rejection(refused: Promise<unknown>): Promise<readonly string[]> {
  try {
    await refused
  } catch (error) {
    return faultsOf(() => {
      throw error
    })
  }
  return []
}
