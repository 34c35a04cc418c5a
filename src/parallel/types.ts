import type { Join, Now } from "../common/results.js"

export type { Join, Now } from "../common/results.js"

/** {@link Now} of each element. */
export type AllNow<T> = { -readonly [I in keyof T]: Now<T[I]> }
/** `Awaited` of each element. */
export type AllAwaited<T> = { -readonly [I in keyof T]: Awaited<T[I]> }

/** The results of functions that were joined: a tuple, or a promise of one. */
export type Joined<T extends readonly unknown[]> = T extends unknown ? Join<T, AllNow<T>, AllAwaited<T>> : never

/** The same of a main function's result and the list of the others'. */
export type JoinedWith<R0, T extends readonly unknown[]> = T extends unknown
  ? Join<[R0, ...T], [Now<R0>, AllNow<T>], [Awaited<R0>, AllAwaited<T>]>
  : never

/** A slot of {@link executeInParallel}: a function, or nothing. */
export type Branch = (() => unknown) | null | undefined

type Result<B> = B extends () => infer R ? R : undefined

/** What the functions of a list return. */
export type Results<F extends readonly Branch[]> = { -readonly [I in keyof F]: Result<F[I]> }
