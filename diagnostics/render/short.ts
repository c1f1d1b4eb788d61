import type { Diagnostic } from '../diagnostic.js'
import { place } from './human.js'

/** One line: `a.dino:4:26: error[DINO0502]: crop size 98 px is not a multiple of patch size 16 px` */
export function renderShort(diagnostic: Diagnostic): string {
  const where = diagnostic.primary ? `${place(diagnostic.primary.span)}: ` : ''
  return `${where}${diagnostic.severity}[${diagnostic.code}]: ${diagnostic.message}`
}
