import type { ValueId } from '../ir/types.js'
import type { Entry } from './entry.js'
import { type Projector, projector, prototypes } from './heads.js'
import { headPart } from './network.js'
import type { Views } from './views.js'

/** Calls of heads, one function for each head and one table of prototypes for each network's head. */
export interface Projections {
  /** Rows [R, d] -> [R, K]; `name`: of the output, where logits are handed out. */
  logits(views: Views, head: string, rows: ValueId, name: string): ValueId
  /** Makes a value an output, where logits and targets are handed out. */
  handOut(name: string, value: ValueId): void
}

export function openProjections(entry: Entry, handsOut: boolean): Projections {
  const { b } = entry
  const projectors = new Map<string, Projector>()
  const tables = new Map<string, ValueId>()
  const handOut = (name: string, value: ValueId) => {
    if (handsOut) entry.sink('output', name, value)
  }
  return {
    handOut,
    logits(views, head, rows, name) {
      const { network, weights } = views
      const part = headPart(head)
      const shape = network.heads[head]
      if (shape === undefined) throw new Error(`${network.role} has no head ${head}`)
      const key = `${network.role}.${part}`
      b.module = key
      let called = projectors.get(key)
      if (called === undefined) {
        called = projector(`${key}.projector`, shape, b.type(rows))
        projectors.set(key, called)
        entry.functions[called.func.name] = called.func
      }
      const bottleneck = b.one('call', [rows, ...called.weights.map((w) => weights(`${part}.${w}`))], {
        callee: called.func.name,
        data: 1,
      })
      b.module = `${key}.last_layer`
      let table = tables.get(key)
      if (table === undefined) {
        table = prototypes(b, head, weights)
        tables.set(key, table)
      }
      const z = b.one('linear', [bottleneck, table], { activation: 'none' })
      handOut(`logits.${network.role}.${name}`, z)
      return z
    },
  }
}
