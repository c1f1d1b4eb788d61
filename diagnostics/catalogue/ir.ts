/** DINO06xx: IR. */
export const ir = {} as const
