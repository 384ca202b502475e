import { randomBytes } from 'node:crypto';
import { DEFAULT_ACCOUNT, type ApiSettings, type Call } from './call.js';
import { findModel, type Model } from './catalogue.js';
import type { Idempotency } from './idempotency.js';
import { json, Refusal, refusalReply, type Reply } from './replies.js';
import type { ChatRecord, State } from './state.js';
import type { EmulatorKey } from './types.js';
import { invalid, isObject, jsonBody } from './validate.js';

const FIELDS = new Set([
  'model',
  'message',
  'session_id',
  'attachments',
  'enable_web_search',
  'reasoning_effort',
  'client_request_id',
]);
const EFFORTS = new Set<unknown>(['default', 'minimal', 'low', 'medium', 'high', 'xhigh']);
/** So much of a message stands in its answer, so that the next step of a pipeline has something to go on with. */
const ECHO_LENGTH = 200;

interface ChatBody {
  readonly model: Model;
  readonly message: string;
  readonly sessionId: string | null;
  readonly attachments: readonly unknown[];
}

/** The Chat API without streaming: one message, one answer, in a session. */
export class Chats {
  readonly #state: State;
  readonly #settings: ApiSettings;
  readonly #idempotency: Idempotency;
  /** Sessions in which a call is being worked on. */
  readonly #busy = new Set<string>();

  constructor(state: State, settings: ApiSettings, idempotency: Idempotency) {
    this.#state = state;
    this.#settings = settings;
    this.#idempotency = idempotency;
  }

  async complete(call: Call, holder: EmulatorKey): Promise<Reply> {
    const stored = await this.#idempotency.begin(call, holder);
    if (stored !== undefined) return json(stored.status, JSON.parse(stored.body));
    let session: string | null = null;
    try {
      const body = validateChat(call.body.toString(), call.contentType);
      this.#checkSession(body, holder);
      this.#checkAttachments(body, holder);
      session = body.sessionId;
      if (session !== null) this.#busy.add(session);
      await call.before();
      const reply = json(200, this.#answer(body, call, holder));
      this.#idempotency.store(call, holder, reply, null);
      return reply;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const reply = refusalReply(error);
      this.#idempotency.storeRefusal(call, reply);
      return reply;
    } finally {
      if (session !== null) this.#busy.delete(session);
    }
  }

  #checkSession({ model, sessionId }: ChatBody, { account = DEFAULT_ACCOUNT }: EmulatorKey): void {
    if (sessionId === null) return;
    const { unknownSession, otherModelInSession, busySession } = this.#settings.switches;
    const first = this.#state.chats().find((chat) => chat.sessionId === sessionId && chat.account === account);
    if (first === undefined) {
      throw new Refusal(unknownSession === 'notFound' ? 'not_found' : 'chat_session_conflict', 'No such session.');
    }
    if (first.model !== model.id && otherModelInSession === 'conflict') {
      throw new Refusal('chat_session_conflict', `The session belongs to the model "${first.model}".`);
    }
    if (this.#busy.has(sessionId) && busySession === 'conflict') {
      throw new Refusal('chat_session_conflict', 'The session is answering another message.');
    }
  }

  #checkAttachments({ model, attachments }: ChatBody, { account = DEFAULT_ACCOUNT }: EmulatorKey): void {
    const unsupported = (message: string): Refusal => new Refusal('chat_attachment_not_supported', message);
    if (attachments.length > 0 && !model.inputs.includes('file')) {
      throw unsupported(`The model "${model.id}" takes no attachments.`);
    }
    for (const [index, attachment] of attachments.entries()) {
      const place = `attachments[${index}]`;
      if (!isObject(attachment) || Object.keys(attachment).some((name) => name !== 'file_id')) {
        throw invalid(`The field "${place}" must be an object with "file_id" alone.`);
      }
      const id = attachment['file_id'];
      if (typeof id !== 'string' || !id.startsWith('file_')) {
        throw unsupported(`The field "${place}.file_id" must be the ID of an uploaded file.`);
      }
      const file = this.#state.file(id);
      const unknown = file === undefined || file.account !== account;
      if (unknown && this.#settings.switches.chatFiles === 'known') throw unsupported(`There is no file ${id}.`);
      if (!unknown && file.kind !== 'image') throw unsupported(`The file ${id} is no image.`);
    }
  }

  /** Reserves, answers, settles. The same message to the same model has the same answer. */
  #answer({ model, message, sessionId }: ChatBody, call: Call, { account = DEFAULT_ACCOUNT }: EmulatorKey): object {
    const credits = this.#state.credits(account, call.now);
    if (credits < model.credits) throw new Refusal('insufficient_credits');
    const random = (prefix: string): string => `${prefix}_${randomBytes(10).toString('hex')}`;
    // A fault that stands in the message belongs to this call, and not to what is made of its answer.
    const plain = message.replaceAll(/\[\[[^\]]*\]\]/g, '').trim();
    const content = `Simulated answer: ${[...plain].slice(0, ECHO_LENGTH).join('')}`;
    const chat: ChatRecord = {
      id: random('chatcmpl'),
      account,
      model: model.id,
      sessionId: sessionId ?? random('chatsess'),
      message,
      key: call.idempotencyKey,
      reserved: model.credits,
      // Settled from tokens: less than what was reserved, as in the example of the page.
      final: Math.max(1, model.credits - 1),
      createdAt: call.now,
    };
    this.#state.setCredits(account, credits - chat.final, call.now);
    this.#state.addChat(chat);
    call.created = true;
    const [input, output] = [message, content].map((text) => Math.ceil(text.length / 4)) as [number, number];
    return {
      id: chat.id,
      object: 'chat.completion',
      session_id: chat.sessionId,
      model: chat.model,
      created_at: new Date(chat.createdAt + this.#settings.switches.clockOffsetMs).toISOString(),
      message: { id: random('msg'), role: 'assistant', content },
      usage: { input_tokens: input, output_tokens: output, total_tokens: input + output },
      credits: { reserved: chat.reserved, final: chat.final },
    };
  }
}

/** @throws Refusal with the field that is wrong. */
function validateChat(text: string, contentType: string | undefined): ChatBody {
  const body = jsonBody(text, contentType);
  const unknown = Object.keys(body).find((name) => !FIELDS.has(name));
  if (unknown !== undefined) throw invalid(`Unknown field "${unknown}".`);
  const { model: id, message, session_id: sessionId, attachments = [], client_request_id: trace } = body;
  const model = typeof id === 'string' ? findModel(id) : undefined;
  if (model?.category !== 'chat') throw new Refusal('chat_model_not_supported');
  if (typeof message !== 'string' || message.trim() === '') throw invalid('The field "message" must be a text.');
  if (model.maxPrompt !== null && [...message].length > model.maxPrompt) {
    throw invalid(`The field "message" is longer than the ${model.maxPrompt} characters of "${model.id}".`);
  }
  if (sessionId !== undefined && typeof sessionId !== 'string')
    throw invalid('The field "session_id" must be a string.');
  if (!Array.isArray(attachments)) throw invalid('The field "attachments" must be an array.');
  if (!['boolean', 'undefined'].includes(typeof body['enable_web_search'])) {
    throw invalid('The field "enable_web_search" must be true or false.');
  }
  const effort = body['reasoning_effort'];
  if (effort !== undefined && !EFFORTS.has(effort)) throw invalid('The field "reasoning_effort" has no such value.');
  if (trace !== undefined && typeof trace !== 'string')
    throw invalid('The field "client_request_id" must be a string.');
  return { model, message, sessionId: sessionId ?? null, attachments };
}
