// The sequencer's HTTP API.
import { beBytes, toHex } from './bytes.js';
import { deploymentId } from './deployment.js';
import { messageId, messageToJSON } from './message.js';

/** An answer of the sequencer that is no success. */
export class GristmillError extends Error {
  /** @param {{status: number, code: string, field?: string, detail?: string, retryAfter?: number}} problem */
  constructor({ status, code, field, detail, retryAfter }) {
    super(`${code}${field ? ` (${field})` : ''}: ${detail ?? `HTTP status ${status}`}`);
    this.name = 'GristmillError';
    this.status = status;
    this.code = code;
    this.field = field;
    this.retryAfter = retryAfter;
  }

  /** Whether the same bytes may be accepted later. */
  get retryable() {
    return this.status === 429 || this.status >= 500;
  }
}

const FINAL = new Set(['settled', 'refused']);

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/**
 * A client of one sequencer. Options: fetch, attempts (8), minDelay (200 ms),
 * maxDelay (10 s), pollInterval (1 s), timeout (30 s for one request). Requests are repeated
 * after 429, 5xx and network errors: sending a message twice is harmless, its
 * bytes name it.
 */
export class Client {
  #base;
  #options;

  constructor(baseURL, options = {}) {
    this.#base = new URL(baseURL);
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
    this.#options = {
      fetch: globalThis.fetch, attempts: 8, minDelay: 200, maxDelay: 10_000,
      pollInterval: 1000, timeout: 30_000, ...options,
    };
  }

  /** {chainId, registry}, checked against the id that the sequencer states. */
  async deployment(signal) {
    const answer = await this.#request('v1/deployment', { signal });
    const deployment = { chainId: answer.chain_id, registry: answer.registry };
    if (toHex(beBytes(deploymentId(deployment), 32)) !== answer.deployment_id) {
      throw new Error('the sequencer states a deployment id that is not its deployment’s');
    }
    return deployment;
  }

  /** What the sequencer knows of a project: version, payload_limit, batch_size, max_wait, … */
  project(id, signal) {
    return this.#request(`v1/projects/${id}`, { signal });
  }

  /** The nonce after the highest that the sequencer has of the device, as BigInt. */
  async nextNonce(deviceId, project, signal) {
    const device = toHex(beBytes(deviceId, 32));
    const answer = await this.#request(`v1/devices/${device}/nonce?project=${project}`, { signal });
    if (!Number.isSafeInteger(answer.nonce)) throw new RangeError('nonce is above 2^53: keep count of it yourself');
    return answer.used ? BigInt(answer.nonce) + 1n : 1n;
  }

  /** Sends one message; answers {id, state, duplicate} once it is durable. */
  async send(message, signal) {
    const answer = await this.#request('v1/messages', { body: messageToJSON(message), signal });
    if (answer.id !== messageId(message)) throw new Error(`the sequencer took ${answer.id}, another message`);
    return answer;
  }

  /**
   * Sends up to 256 messages together. The results stand in their order: {id, state,
   * duplicate} or {error: GristmillError}. Only messages that may still be
   * accepted are sent again.
   */
  async sendBatch(messages, signal) {
    const results = new Array(messages.length);
    let open = messages.map((_, i) => i);
    for (let attempt = 1; open.length > 0; attempt++) {
      const body = open.map((i) => messageToJSON(messages[i]));
      const answer = await this.#request('v1/messages', { body, signal });
      if (answer.results?.length !== open.length) throw new Error('the sequencer did not answer each message');
      open.forEach((i, at) => {
        results[i] = batchResult(messages[i], answer.results[at]);
      });
      open = open.filter((i) => results[i].error?.retryable);
      if (attempt >= this.#options.attempts) break;
      if (open.length > 0) await pause(this.#delay(attempt), signal);
    }
    return results;
  }

  /** Where a message is: {id, state, task_id?, reason?, …}. */
  message(id, signal) {
    return this.#request(`v1/messages/${id}`, { signal });
  }

  /** Where a task is. */
  task(id, signal) {
    return this.#request(`v1/tasks/${id}`, { signal });
  }

  /** Waits until a message is settled or refused; onChange sees every state on the way. */
  async follow(id, { signal, onChange } = {}) {
    for (let last; ; ) {
      const view = await this.message(id, signal);
      if (view.state !== last) onChange?.(view);
      if (FINAL.has(view.state)) return view;
      last = view.state;
      await pause(this.#options.pollInterval, signal);
    }
  }

  #delay(attempt, retryAfter) {
    const { minDelay, maxDelay } = this.#options;
    if (retryAfter !== undefined) return Math.min(retryAfter * 1000, maxDelay);
    return Math.min(minDelay * 2 ** (attempt - 1), maxDelay) * (0.5 + Math.random() / 2);
  }

  async #request(path, { body, signal } = {}) {
    for (let attempt = 1; ; attempt++) {
      let failure;
      try {
        return await this.#once(path, body, signal);
      } catch (err) {
        signal?.throwIfAborted();
        if (err instanceof GristmillError && !err.retryable) throw err;
        failure = err;
      }
      if (attempt >= this.#options.attempts) throw failure;
      await pause(this.#delay(attempt, failure.retryAfter), signal);
    }
  }

  async #once(path, body, signal) {
    const limit = AbortSignal.timeout(this.#options.timeout);
    const init = { signal: signal ? AbortSignal.any([signal, limit]) : limit };
    if (body !== undefined) {
      Object.assign(init, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    }
    const response = await this.#options.fetch(new URL(path, this.#base), init);
    if (response.ok) return response.json();
    throw await problemOf(response);
  }
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get('retry-after') ?? NaN);
  return new GristmillError({
    status: response.status,
    code: problem.code ?? 'unavailable',
    field: problem.field,
    detail: problem.detail,
    retryAfter: Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined,
  });
}

function batchResult(message, result) {
  if (result.status >= 300) return { error: new GristmillError(result) };
  if (result.id !== messageId(message)) throw new Error(`the sequencer took ${result.id}, another message`);
  return { id: result.id, state: result.state, duplicate: result.duplicate ?? false };
}
