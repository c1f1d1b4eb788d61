/** DINO08xx: plan and memory. */
export const plan = {} as const
