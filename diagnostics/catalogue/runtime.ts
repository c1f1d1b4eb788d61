/** DINO10xx: runtime and data. */
export const runtime = {} as const
