/** Lines of `doctor`. */
import { advice } from './advice.js';

/** One line of `doctor`. */
export interface Finding {
  readonly name: string;
  readonly level: 'ok' | 'warn' | 'fail';
  /** What was found, and what to do. */
  readonly says: string;
  /** Exit status that a failure asks for. */
  readonly status?: number | undefined;
}

export const ok = (name: string, says: string): Finding => ({ name, level: 'ok', says });
export const warn = (name: string, says: string): Finding => ({ name, level: 'warn', says: advice(says) });
export const fail = (name: string, says: string, status?: number): Finding => {
  return { name, level: 'fail', says: advice(says), status };
};
