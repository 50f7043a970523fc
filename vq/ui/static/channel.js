// Hands what the server sends to the component that follows the topic. props: {topic, value}
const pass = () => VQ.publish(props.topic, props.value);
watch("value", pass);
pass();
