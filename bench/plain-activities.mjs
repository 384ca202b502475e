// Activities of the plain Workflow.
import { randomUUID } from 'node:crypto';
import { request } from 'undici';

export function plainActivities({ RIVYA_BASE_URL, RIVYA_API_KEY }) {
  const call = async (path, options) => {
    const authorization = `Bearer ${RIVYA_API_KEY}`;
    const { statusCode, body } = await request(`${RIVYA_BASE_URL}/api/v1${path}`, {
      ...options,
      headers: { authorization, ...options.headers },
    });
    const reply = await body.json();
    if (statusCode >= 300) throw new Error(`${statusCode} ${reply.error?.code}`);
    return reply;
  };
  return {
    async submit(input) {
      const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
      const { id } = await call('/generations', { method: 'POST', headers, body: JSON.stringify(input) });
      return { id };
    },
    async check(id) {
      const { status, result } = await call(`/generations/${id}`, { method: 'GET' });
      return { status, urls: result?.urls ?? [] };
    },
    async download(url) {
      const { statusCode, body } = await request(url);
      if (statusCode >= 300) throw new Error(`${statusCode}`);
      return (await body.arrayBuffer()).byteLength;
    },
  };
}
