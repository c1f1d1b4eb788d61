/** DINO09xx: code generation and device. */
export const device = {} as const
