import type { Join, Now } from "../common/results/types.js"

/** Applies {@link Now} to each element. */
export type AllNow<T> = { -readonly [I in keyof T]: Now<T[I]> }
/** Applies `Awaited` to each element. */
export type AllAwaited<T> = { -readonly [I in keyof T]: Awaited<T[I]> }

/** The results of functions that were joined: a tuple, or a promise of one. */
export type Joined<T extends readonly unknown[]> = T extends unknown ? Join<T, AllNow<T>, AllAwaited<T>> : never

/** Like {@link Joined}, for a main function's result and a list of the other results. */
export type JoinedWith<R0, T extends readonly unknown[]> = T extends unknown
  ? Join<[R0, ...T], [Now<R0>, AllNow<T>], [Awaited<R0>, AllAwaited<T>]>
  : never

/** An entry of `auxFns` of {@link executeInParallel}: a function, or nothing. */
export type Branch = (() => unknown) | null | undefined

type Result<B> = B extends () => infer R ? R : undefined

/** The results of a list of functions. */
export type Results<F extends readonly Branch[]> = { -readonly [I in keyof F]: Result<F[I]> }
