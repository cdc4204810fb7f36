let socket = null;
onmessage = ({ data }) => {
  if (data === null) return socket.close(1000, 'left');
  console.info('worker starts');
  socket = new WebSocket(data);
  socket.onopen = () => postMessage({ kind: 'open' });
  socket.onmessage = (event) => postMessage({ kind: 'text', text: event.data });
  socket.onclose = ({ code }) => postMessage({ kind: 'close', code });
};
