import type { Transport } from '../devices/device.js'

/** What devices exchange through that compute in this thread: values are handed over, none is copied. */
export interface AsyncTransport extends Transport {
  /** Hands in what this rank has, and gives what every rank has, in their order, once the last one has come. */
  exchange<T>(own: T): Promise<readonly T[]>
  /** Ends the wait of all others, now and from now on: this rank cannot go on. */
  abandon(): void
}

/** A rank was left alone at a collective: another one stopped, and says why itself. */
export class RankLeft extends Error {
  constructor() {
    super('another rank stopped')
  }
}

/** The ends of one group. Ranks meet in the order of their collectives, which is the same for all. */
export function openAsyncGroup(ranks: number): readonly AsyncTransport[] {
  let meeting = openMeeting(ranks)
  let left = false
  return Array.from({ length: ranks }, (_, rank) => ({
    rank,
    ranks,
    exchange: <T>(own: T): Promise<readonly T[]> => {
      if (left) return Promise.reject(new RankLeft())
      const here = meeting
      if (here.come(rank, own)) meeting = openMeeting(ranks)
      return here.all as Promise<readonly T[]>
    },
    abandon: () => {
      left = true
      meeting.break()
    },
  }))
}

function openMeeting(ranks: number) {
  const values = new Array<unknown>(ranks)
  let missing = ranks
  let settle: (all: readonly unknown[]) => void = () => {}
  let refuse: (error: Error) => void = () => {}
  const all = new Promise<readonly unknown[]>((resolve, reject) => {
    settle = resolve
    refuse = reject
  })
  // Where nobody waits, breaking it off is no fault.
  all.catch(() => {})
  return {
    all,
    /** Whether this was the last one. */
    come(rank: number, own: unknown): boolean {
      values[rank] = own
      missing--
      if (missing === 0) settle(values)
      return missing === 0
    },
    break: () => refuse(new RankLeft()),
  }
}
