/**
 * Stands in a resolved experiment where a value could not be had and a diagnostic has been given. Checks that read
 * it stop silently (`unlessPoisoned`), so that one fault gives one error while every check whose own inputs are
 * whole still runs.
 */
export const POISON: unique symbol = Symbol('poison')
export type Poison = typeof POISON

const reached = new Error('read a poisoned value')

/** The object with every read of `POISON`, however deep, ending the surrounding `unlessPoisoned`. */
export function guarded<T>(value: T): T {
  if ((value as unknown) === POISON) throw reached
  if (value === null || typeof value !== 'object') return value
  // a proxy must show the properties of a frozen target as they are: guard a copy of it
  const open = Object.isFrozen(value) ? (Array.isArray(value) ? [...value] : { ...value }) : value
  return new Proxy(open as object, {
    get: (target, key) => {
      const found = Reflect.get(target, key) as unknown
      return typeof found === 'function' ? found.bind(guarded(target)) : guarded(found)
    },
  }) as T
}

/** Runs `check`; undefined where it met a poisoned value. */
export function unlessPoisoned<T>(check: () => T): T | undefined {
  try {
    return check()
  } catch (error) {
    if (error === reached) return undefined
    throw error
  }
}

/** What `compute` gives, or poison where it met some. */
export function derived<T>(compute: () => T): T {
  try {
    return compute()
  } catch (error) {
    if (error === reached) return POISON as unknown as T
    throw error
  }
}

/** Whether poison stands anywhere inside. */
export function isPoisoned(value: unknown): boolean {
  if (value === POISON) return true
  if (value === null || typeof value !== 'object') return false
  return Object.values(value).some(isPoisoned)
}

/** For a value that may be poison: the value, or the end of the surrounding `derived`. */
export function whole<T>(value: T | Poison): T {
  if (value === POISON) throw reached
  return value as T
}
