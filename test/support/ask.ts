import { request } from 'node:http';

/** A GET with a `Host` of one's choice, which `fetch` does not take. @returns the status */
export const askAs = (url: string, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request(url, { headers: { host } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
